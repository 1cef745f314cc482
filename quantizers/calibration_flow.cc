#include "quantizers/calibration_flow.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "quantizers/set_statistics.h"
#include "quantizers/token_weights.h"

namespace quantd {

absl::Status CalibrationFlow::Start(ExecutionContext& ctx) {
  const int64_t window = windows_.window_tokens;
  const int64_t count = windows_.count();
  ASSIGN_OR_RETURN(
      hidden_, ActivationStore::Create(
                   count * window, model_.description().hidden_size, options_));
  if (hidden_->spilled_bytes() > 0) {
    ctx.ReportNote(
        absl::StrCat(hidden_->spilled_bytes(), " of ",
                     SpilledBytes(hidden_->rows(), hidden_->cols(), 0),
                     " bytes of calibration activations lie on disk"));
  }
  const int64_t step = CalibrationBatchWindows(window);
  const absl::Span<const int32_t> tokens = windows_.tokens;
  for (int64_t w = 0; w < count; w += step) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    const auto batch =
        SequenceBatch::Uniform(std::min(step, count - w), window);
    ASSIGN_OR_RETURN(
        const Tensor x,
        model_.Embed(tokens.subspan(static_cast<size_t>(w * window),
                                    static_cast<size_t>(batch.rows())),
                     batch, ctx));
    RETURN_IF_ERROR(hidden_->Write(w * window, x));
  }
  position_ = 0;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> CalibrationFlow::WeighTokens(
    Block& block, const TokenWeighting& weighting,
    ExecutionContext& ctx) const {
  return ComputeTokenWeights(block, *hidden_, windows_.window_tokens, weighting,
                             ctx);
}

absl::StatusOr<std::map<int, LayerStatistics>> CalibrationFlow::Gather(
    Block& block, int first_set, int last_set, const StatisticsRequest& request,
    absl::Span<const float> token_weights, ExecutionContext& ctx) const {
  return GatherStatistics(block, *hidden_, windows_.window_tokens, first_set,
                          last_set, request, token_weights, ctx);
}

absl::Status CalibrationFlow::CopyFrom(const CalibrationFlow& other) {
  const ActivationStore& from = other.hidden();
  if (!hidden_.has_value()) {
    ASSIGN_OR_RETURN(
        hidden_, ActivationStore::Create(from.rows(), from.cols(), options_));
  }
  for (int64_t r = 0; r < from.rows(); r += windows_.window_tokens) {
    ASSIGN_OR_RETURN(const Tensor window, from.Read(r, windows_.window_tokens));
    RETURN_IF_ERROR(hidden_->Write(r, window));
  }
  position_ = other.position_;
  return absl::OkStatus();
}

absl::Status CalibrationFlow::Pass(Block& block, ExecutionContext& ctx) {
  RETURN_IF_ERROR(RunBlock(block, windows_.window_tokens, &*hidden_, ctx));
  ++position_;
  return absl::OkStatus();
}

}  // namespace quantd
