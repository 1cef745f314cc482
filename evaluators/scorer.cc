#include "evaluators/scorer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

absl::Status CheckRequest(const ScoreRequest& request) {
  const int64_t size = static_cast<int64_t>(request.tokens.size());
  if (request.first_target < 1 || request.target_count < 1 ||
      request.first_target + int64_t{request.target_count} > size) {
    return absl::InvalidArgumentError(
        absl::StrCat("a request scores targets ", request.first_target, "..",
                     request.first_target + int64_t{request.target_count} - 1,
                     " of ", size, " tokens"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Scorer> Scorer::Load(const Model& model,
                                    const ScorerOptions& options,
                                    ExecutionContext& ctx) {
  if (!model.description().predicts_next_token) {
    return absl::InvalidArgumentError(absl::StrCat(
        model.checkpoint().directory(), ": ", model.description().architecture,
        " predicts masked tokens, not the next one, and has no likelihood of a "
        "text"));
  }
  Scorer scorer(&model, options);
  if (options.order == ScoringOrder::kLayerMajor) return scorer;
  for (int k = 0; k < model.block_count(); ++k) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ASSIGN_OR_RETURN(std::unique_ptr<Block> block, model.LoadBlock(k, ctx));
    scorer.blocks_.push_back(std::move(block));
  }
  return scorer;
}

absl::Status Scorer::Score(Requests requests, Sink sink, OnProgress on_progress,
                           ExecutionContext& ctx) {
  ASSIGN_OR_RETURN(const std::vector<Batch> batches, Plan(requests));
  if (options_.order == ScoringOrder::kLayerMajor) {
    return ScoreLayerMajor(requests, batches, sink, on_progress, ctx);
  }
  return ScoreBatchMajor(requests, batches, sink, on_progress, ctx);
}

absl::StatusOr<std::vector<Scorer::Batch>> Scorer::Plan(
    Requests requests) const {
  const size_t most = static_cast<size_t>(std::max(1, options_.batch_windows));
  std::vector<Batch> batches;
  for (size_t i = 0; i < requests.size(); ++i) {
    RETURN_IF_ERROR(CheckRequest(requests[i]));
    const int64_t length = static_cast<int64_t>(requests[i].tokens.size());
    if (batches.empty() || batches.back().count == most ||
        batches.back().length != length) {
      Batch batch;
      batch.first = i;
      batch.length = length;
      if (!batches.empty()) {
        batch.first_row = batches.back().first_row + batches.back().rows();
      }
      batches.push_back(batch);
    }
    ++batches.back().count;
  }
  return batches;
}

absl::Status Scorer::ScoreBatchMajor(Requests requests,
                                     absl::Span<const Batch> batches, Sink sink,
                                     OnProgress on_progress,
                                     ExecutionContext& ctx) {
  for (size_t b = 0; b < batches.size(); ++b) {
    const SequenceBatch sequences = batches[b].sequences();
    ASSIGN_OR_RETURN(Tensor hidden, Embed(requests, batches[b], ctx));
    for (const std::unique_ptr<Block>& block : blocks_) {
      ASSIGN_OR_RETURN(hidden, block->Forward(hidden, sequences, ctx));
    }
    RETURN_IF_ERROR(Emit(requests, batches[b], hidden, sink, ctx));
    on_progress(static_cast<double>(b + 1) /
                static_cast<double>(batches.size()));
  }
  return absl::OkStatus();
}

absl::Status Scorer::ScoreLayerMajor(Requests requests,
                                     absl::Span<const Batch> batches, Sink sink,
                                     OnProgress on_progress,
                                     ExecutionContext& ctx) {
  if (batches.empty()) return absl::OkStatus();
  const int64_t rows = batches.back().first_row + batches.back().rows();
  ASSIGN_OR_RETURN(
      ActivationStore hidden,
      ActivationStore::Create(rows, model_->description().hidden_size,
                              options_.activations));
  spilled_bytes_ = hidden.spilled_bytes();
  // The head counts as one more block.
  const double steps =
      (model_->block_count() + 1.0) * static_cast<double>(batches.size());
  double done = 0;
  for (const Batch& batch : batches) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ASSIGN_OR_RETURN(const Tensor x, Embed(requests, batch, ctx));
    RETURN_IF_ERROR(hidden.Write(batch.first_row, x));
  }
  for (int k = 0; k < model_->block_count(); ++k) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ASSIGN_OR_RETURN(const std::unique_ptr<Block> block,
                     model_->LoadBlock(k, ctx));
    for (const Batch& batch : batches) {
      ASSIGN_OR_RETURN(const Tensor x,
                       hidden.Read(batch.first_row, batch.rows()));
      ASSIGN_OR_RETURN(const Tensor y,
                       block->Forward(x, batch.sequences(), ctx));
      RETURN_IF_ERROR(hidden.Write(batch.first_row, y));
      on_progress(++done / steps);
    }
  }
  for (const Batch& batch : batches) {
    ASSIGN_OR_RETURN(const Tensor x,
                     hidden.Read(batch.first_row, batch.rows()));
    RETURN_IF_ERROR(Emit(requests, batch, x, sink, ctx));
    on_progress(++done / steps);
  }
  return absl::OkStatus();
}

absl::StatusOr<Tensor> Scorer::Embed(Requests requests, const Batch& batch,
                                     ExecutionContext& ctx) const {
  std::vector<int32_t> tokens;
  for (const ScoreRequest& request :
       requests.subspan(batch.first, batch.count)) {
    tokens.insert(tokens.end(), request.tokens.begin(), request.tokens.end());
  }
  return model_->Embed(tokens, batch.sequences(), ctx);
}

absl::Status Scorer::Emit(Requests requests, const Batch& batch,
                          const Tensor& hidden, Sink sink,
                          ExecutionContext& ctx) const {
  std::vector<int32_t> targets;
  std::vector<int64_t> positions;  // rows of the batch that predict a target
  for (size_t i = 0; i < batch.count; ++i) {
    const ScoreRequest& request = requests[batch.first + i];
    for (int t = 0; t < request.target_count; ++t) {
      const int target = request.first_target + t;
      targets.push_back(request.tokens[static_cast<size_t>(target)]);
      positions.push_back(static_cast<int64_t>(i) * batch.length + target - 1);
    }
  }
  const int64_t vocabulary = model_->description().vocabulary_size;
  const int64_t chunk = std::max<int64_t>(1, kMaxScoredLogits / vocabulary);
  const int64_t scored = static_cast<int64_t>(positions.size());
  std::vector<double> nll(positions.size());
  for (int64_t begin = 0; begin < scored; begin += chunk) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    const int64_t rows = std::min(chunk, scored - begin);
    Tensor gathered = Tensor::Uninitialized({rows, hidden.cols()});
    for (int64_t r = 0; r < rows; ++r) {
      std::copy_n(hidden.row(positions[static_cast<size_t>(begin + r)]),
                  hidden.cols(), gathered.row(r));
    }
    ASSIGN_OR_RETURN(const Tensor logits, model_->Logits(gathered, ctx));
    ctx.device().NegativeLogLikelihood(logits.data(), targets.data() + begin,
                                       rows, vocabulary, nll.data() + begin);
  }
  size_t offset = 0;
  for (size_t i = 0; i < batch.count; ++i) {
    const size_t count =
        static_cast<size_t>(requests[batch.first + i].target_count);
    RETURN_IF_ERROR(
        sink(batch.first + i, absl::MakeConstSpan(nll).subspan(offset, count)));
    offset += count;
  }
  return absl::OkStatus();
}

}  // namespace quantd
