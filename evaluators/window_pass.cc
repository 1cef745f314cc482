#include "evaluators/window_pass.h"

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

absl::StatusOr<std::vector<WindowBatch>> PlanBatches(
    absl::Span<const ScoreRequest> requests, int most_windows) {
  const size_t most = static_cast<size_t>(std::max(1, most_windows));
  std::vector<WindowBatch> batches;
  for (size_t i = 0; i < requests.size(); ++i) {
    RETURN_IF_ERROR(CheckRequest(requests[i]));
    const int64_t length = static_cast<int64_t>(requests[i].tokens.size());
    if (batches.empty() || batches.back().count == most ||
        batches.back().length != length) {
      WindowBatch batch;
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

absl::StatusOr<WindowPass> WindowPass::Load(const Model& model,
                                            ScoringOrder order,
                                            ExecutionContext& ctx) {
  if (!model.description().predicts_next_token) {
    return absl::InvalidArgumentError(absl::StrCat(
        model.checkpoint().directory(), ": ", model.description().architecture,
        " predicts masked tokens, not the next one, and has no likelihood of a "
        "text"));
  }
  WindowPass pass(&model, order);
  if (order == ScoringOrder::kLayerMajor) return pass;
  for (int k = 0; k < model.block_count(); ++k) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ASSIGN_OR_RETURN(std::unique_ptr<Block> block, model.LoadBlock(k, ctx));
    pass.blocks_.push_back(std::move(block));
  }
  return pass;
}

absl::Status WindowPass::Advance(absl::Span<const ScoreRequest> requests,
                                 absl::Span<const WindowBatch> batches,
                                 const ActivationOptions& activations,
                                 absl::FunctionRef<void()> on_step,
                                 ExecutionContext& ctx) {
  store_.reset();
  if (order_ == ScoringOrder::kBatchMajor || batches.empty()) {
    return absl::OkStatus();
  }
  const int64_t rows = batches.back().first_row + batches.back().rows();
  ASSIGN_OR_RETURN(
      store_, ActivationStore::Create(rows, model_->description().hidden_size,
                                      activations));
  for (const WindowBatch& batch : batches) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ASSIGN_OR_RETURN(const Tensor x, Embed(requests, batch, ctx));
    RETURN_IF_ERROR(store_->Write(batch.first_row, x));
  }
  for (int k = 0; k < model_->block_count(); ++k) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ASSIGN_OR_RETURN(const std::unique_ptr<Block> block,
                     model_->LoadBlock(k, ctx));
    for (const WindowBatch& batch : batches) {
      ASSIGN_OR_RETURN(const Tensor x,
                       store_->Read(batch.first_row, batch.rows()));
      ASSIGN_OR_RETURN(const Tensor y,
                       block->Forward(x, batch.sequences(), ctx));
      RETURN_IF_ERROR(store_->Write(batch.first_row, y));
      on_step();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Tensor> WindowPass::Hidden(
    absl::Span<const ScoreRequest> requests, const WindowBatch& batch,
    ExecutionContext& ctx) const {
  if (order_ == ScoringOrder::kLayerMajor) {
    return store_->Read(batch.first_row, batch.rows());
  }
  const SequenceBatch sequences = batch.sequences();
  ASSIGN_OR_RETURN(Tensor hidden, Embed(requests, batch, ctx));
  for (const std::unique_ptr<Block>& block : blocks_) {
    ASSIGN_OR_RETURN(hidden, block->Forward(hidden, sequences, ctx));
  }
  return hidden;
}

absl::StatusOr<Tensor> WindowPass::Embed(
    absl::Span<const ScoreRequest> requests, const WindowBatch& batch,
    ExecutionContext& ctx) const {
  std::vector<int32_t> tokens;
  for (const ScoreRequest& request :
       requests.subspan(batch.first, batch.count)) {
    tokens.insert(tokens.end(), request.tokens.begin(), request.tokens.end());
  }
  return model_->Embed(tokens, batch.sequences(), ctx);
}

}  // namespace quantd
