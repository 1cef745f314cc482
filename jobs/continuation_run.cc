#include "jobs/continuation_run.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "models/json_text.h"
#include "nlohmann/json.hpp"

namespace quantd {
std::vector<int32_t> StopTokens(const Model& model,
                                const Tokenizer& tokenizer) {
  std::vector<int32_t> stops;
  if (tokenizer.eos_id().has_value()) stops.push_back(*tokenizer.eos_id());
  const nlohmann::json& config = model.checkpoint().config();
  const auto eos = config.find("eos_token_id");
  if (eos == config.end()) return stops;
  // One id or several.
  const nlohmann::json ids =
      eos->is_array() ? *eos : nlohmann::json::array({*eos});
  for (const nlohmann::json& id : ids) {
    if (id.is_number_integer()) stops.push_back(id.get<int32_t>());
  }
  return stops;
}

GenerationOptions GenerationOptionsOf(const v1::Generation& spec) {
  GenerationOptions options;
  options.max_new_tokens = static_cast<int>(spec.max_new_tokens());
  options.sampling.temperature = spec.temperature();
  options.sampling.top_k = static_cast<int>(spec.top_k());
  options.sampling.top_p = spec.top_p();
  options.seed = spec.seed();
  options.beams = static_cast<int>(spec.beams());
  options.beam_groups = static_cast<int>(spec.beam_groups());
  options.beam_diversity = spec.beam_diversity();
  options.length_penalty = spec.length_penalty();
  options.batch_prompts = static_cast<int>(spec.batch_prompts());
  return options;
}

absl::StatusOr<std::vector<std::string>> ParsePrompts(absl::string_view text) {
  std::vector<std::string> prompts;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty()) continue;
    const std::string origin = absl::StrCat("prompts, line ", number);
    ASSIGN_OR_RETURN(const nlohmann::json value, ParseJson(line, origin));
    ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(value, origin));
    ASSIGN_OR_RETURN(std::string prompt, reader.GetString("prompt"));
    prompts.push_back(std::move(prompt));
  }
  if (prompts.empty()) {
    return absl::InvalidArgumentError(
        "the dataset holds no prompts, lines of {\"prompt\": \"...\"}");
  }
  return prompts;
}

absl::StatusOr<uint64_t> ContinuePrompts(const v1::Generation& spec,
                                         absl::string_view text,
                                         const Model& model,
                                         const Tokenizer& tokenizer,
                                         ExecutionContext& context,
                                         v1::Evaluation* evaluation) {
  ASSIGN_OR_RETURN(const std::vector<std::string> prompts, ParsePrompts(text));
  GenerationOptions options = GenerationOptionsOf(spec);
  options.stop_tokens = StopTokens(model, tokenizer);
  std::vector<std::vector<int32_t>> tokens;
  for (size_t i = 0; i < prompts.size(); ++i) {
    ASSIGN_OR_RETURN(
        std::vector<int32_t> ids,
        Annotate(tokenizer.EncodeWithBos(prompts[i]), "prompt ", i + 1));
    tokens.push_back(std::move(ids));
  }
  ASSIGN_OR_RETURN(Generator generator, Generator::Load(model, context));
  ASSIGN_OR_RETURN(const std::vector<Continuations> results,
                   generator.Generate(
                       tokens, options,
                       [&](size_t done) {
                         ProgressUpdate progress;
                         progress.phase = "generate";
                         progress.done = done;
                         progress.total = prompts.size();
                         progress.fraction =
                             static_cast<double>(done) /
                             static_cast<double>(prompts.size());
                         context.ReportProgress(progress);
                       },
                       context));
  uint64_t generated = 0;
  for (size_t i = 0; i < prompts.size(); ++i) {
    v1::GeneratedText& out = *evaluation->add_generations();
    out.set_prompt(prompts[i]);
    for (const Beam& beam : results[i]) {
      v1::Continuation& continuation = *out.add_continuations();
      ASSIGN_OR_RETURN(*continuation.mutable_text(),
                       tokenizer.Decode(beam.tokens));
      continuation.mutable_tokens()->Add(beam.tokens.begin(),
                                         beam.tokens.end());
      continuation.set_log_probability(beam.log_probability);
      continuation.set_score(beam.score);
      continuation.set_stopped(beam.stopped);
      generated += beam.tokens.size() + (beam.stopped ? 1 : 0);
    }
  }
  return generated;
}

}  // namespace quantd
