#include "evaluators/generator.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/decoding_session.h"

namespace quantd {
namespace {

BeamOptions BeamOptionsOf(const GenerationOptions& options) {
  BeamOptions beam;
  beam.beams = options.beams;
  beam.groups = options.beam_groups;
  beam.diversity = options.beam_diversity;
  beam.length_penalty = options.length_penalty;
  beam.max_new_tokens = options.max_new_tokens;
  beam.stop_tokens = options.stop_tokens;
  beam.is_complete = options.is_complete;
  return beam;
}

// A prompt whose continuation is still growing.
struct Running {
  size_t index;  // in the batch
  std::mt19937_64 engine;
};

std::mt19937_64 StreamOf(uint64_t seed, size_t prompt) {
  std::seed_seq sequence = {static_cast<uint32_t>(seed),
                            static_cast<uint32_t>(seed >> 32),
                            static_cast<uint32_t>(prompt),
                            static_cast<uint32_t>(uint64_t{prompt} >> 32)};
  return std::mt19937_64(sequence);
}

absl::Status CheckFinite(absl::Span<const float> logits, size_t prompt) {
  for (const float value : logits) {
    if (std::isfinite(value)) continue;
    return absl::InternalError(absl::StrCat(
        "prompt ", prompt + 1, ": the model gives NaN or infinite logits"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckGenerationOptions(const GenerationOptions& options) {
  const SamplingOptions& sampling = options.sampling;
  if (!(sampling.temperature >= 0) || !std::isfinite(sampling.temperature)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "temperature: ", sampling.temperature, " is not a number from 0 up"));
  }
  if (!(sampling.top_p > 0 && sampling.top_p <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("top_p: ", sampling.top_p, " is not in (0, 1]"));
  }
  if (sampling.top_k < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("top_k: ", sampling.top_k, " is negative"));
  }
  if (options.batch_prompts < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "batch_prompts: ", options.batch_prompts, " is not positive"));
  }
  if (options.beams > 1 && sampling.temperature > 0) {
    return absl::InvalidArgumentError(
        "beams: beam search does not sample; leave temperature at 0");
  }
  return CheckBeamOptions(BeamOptionsOf(options));
}

absl::StatusOr<Generator> Generator::Load(const Model& model,
                                          ExecutionContext& ctx) {
  if (!model.description().predicts_next_token) {
    return absl::InvalidArgumentError(absl::StrCat(
        model.checkpoint().directory(), ": ", model.description().architecture,
        " predicts masked tokens, not the next one, and continues no text"));
  }
  Generator generator(&model);
  for (int k = 0; k < model.block_count(); ++k) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ASSIGN_OR_RETURN(std::unique_ptr<Block> block, model.LoadBlock(k, ctx));
    generator.blocks_.push_back(std::move(block));
  }
  return generator;
}

absl::StatusOr<std::vector<Continuations>> Generator::Sample(
    absl::Span<const std::vector<int32_t>> prompts, size_t first,
    const GenerationOptions& options, ExecutionContext& ctx) {
  DecodingSession session(*model_, blocks_);
  std::vector<Continuations> results(prompts.size(), Continuations(1));
  std::vector<Running> running;
  for (size_t i = 0; i < prompts.size(); ++i) {
    running.push_back({i, StreamOf(options.seed, first + i)});
  }
  std::vector<std::vector<int32_t>> next(prompts.begin(), prompts.end());
  for (int step = 0; step < options.max_new_tokens; ++step) {
    ASSIGN_OR_RETURN(const Tensor logits, session.Advance(next, ctx));
    std::vector<int> kept;
    std::vector<Running> still_running;
    next.clear();
    for (size_t i = 0; i < running.size(); ++i) {
      const absl::Span<const float> row(logits.row(static_cast<int64_t>(i)),
                                        static_cast<size_t>(logits.cols()));
      RETURN_IF_ERROR(CheckFinite(row, first + running[i].index));
      const int32_t token =
          SampleToken(row, options.sampling, running[i].engine);
      Beam& result = results[running[i].index][0];
      result.log_probability += LogSoftmax(row)[static_cast<size_t>(token)];
      result.score = result.log_probability;
      if (absl::c_linear_search(options.stop_tokens, token)) {
        result.stopped = true;
        result.stop_token = token;
        continue;
      }
      result.tokens.push_back(token);
      if (options.is_complete && options.is_complete(result.tokens)) {
        result.stopped = true;
        continue;
      }
      kept.push_back(static_cast<int>(i));
      next.push_back({token});
      still_running.push_back(std::move(running[i]));
    }
    running = std::move(still_running);
    if (running.empty()) break;
    // Ended sequences leave the batch.
    if (kept.size() < session.sequences()) session.Select(kept);
  }
  return results;
}

absl::StatusOr<Continuations> Generator::Search(
    const std::vector<int32_t>& prompt, size_t index,
    const GenerationOptions& options, ExecutionContext& ctx) {
  DecodingSession session(*model_, blocks_);
  BeamSearch search(BeamOptionsOf(options));
  std::vector<std::vector<int32_t>> next = {prompt};
  while (true) {
    ASSIGN_OR_RETURN(const Tensor logits, session.Advance(next, ctx));
    RETURN_IF_ERROR(CheckFinite(logits.values(), index));
    const BeamSearch::Step step = search.Advance(logits);
    if (step.tokens.empty()) return search.Finish();
    session.Select(step.sources);
    next.clear();
    for (int32_t token : step.tokens) next.push_back({token});
  }
}

absl::StatusOr<std::vector<Continuations>> Generator::Generate(
    absl::Span<const std::vector<int32_t>> prompts,
    const GenerationOptions& options,
    absl::FunctionRef<void(size_t done)> on_progress, ExecutionContext& ctx) {
  RETURN_IF_ERROR(CheckGenerationOptions(options));
  for (size_t i = 0; i < prompts.size(); ++i) {
    if (prompts[i].empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("prompt ", i + 1, " has no tokens"));
    }
  }
  std::vector<Continuations> results;
  const size_t batch =
      options.beams > 1 ? 1 : static_cast<size_t>(options.batch_prompts);
  for (size_t first = 0; first < prompts.size(); first += batch) {
    const auto part = prompts.subspan(first, batch);
    if (options.beams > 1) {
      ASSIGN_OR_RETURN(Continuations found,
                       Search(part[0], first, options, ctx));
      results.push_back(std::move(found));
    } else {
      ASSIGN_OR_RETURN(std::vector<Continuations> found,
                       Sample(part, first, options, ctx));
      absl::c_move(found, std::back_inserter(results));
    }
    on_progress(results.size());
  }
  return results;
}

}  // namespace quantd
