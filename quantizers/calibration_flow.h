// The calibration windows on their way through the network: what enters the
// next block, of all windows.
//
//   CalibrationFlow flow(model, windows, options);
//   RETURN_IF_ERROR(flow.Start(ctx));             // in front of block 0
//   flow.Gather(block, 0, 1, request, ctx);       // as often as needed
//   RETURN_IF_ERROR(flow.Pass(block, ctx));       // in front of block 1
//
// Confined to one thread; the device's threads work inside.
#ifndef QUANTD_QUANTIZERS_CALIBRATION_FLOW_H_
#define QUANTD_QUANTIZERS_CALIBRATION_FLOW_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "models/activation_store.h"
#include "models/model.h"
#include "quantizers/calibration.h"
#include "quantizers/stage.h"

namespace quantd {

class CalibrationFlow {
 public:
  // `model` and `windows` outlive the flow. `options` says where activations
  // lie (models/activation_store.h).
  CalibrationFlow(const Model& model, const CalibrationWindows& windows,
                  const ActivationOptions& options)
      : model_(model), windows_(windows), options_(options) {}

  // The block whose inputs are at hand; -1 before Start().
  int position() const { return position_; }

  // Embeds all windows. ResourceExhausted: no room for what is spilled.
  absl::Status Start(ExecutionContext& ctx);

  // The weight of every token in the second moments of `block`, which is the
  // block at position() (token_weights.h).
  absl::StatusOr<std::vector<float>> WeighTokens(
      Block& block, const TokenWeighting& weighting,
      ExecutionContext& ctx) const;

  // What `request` asks for of sets first_set .. last_set of the block at
  // position(). `token_weights` as WeighTokens() made them.
  absl::StatusOr<std::map<int, LayerStatistics>> Gather(
      Block& block, int first_set, int last_set,
      const StatisticsRequest& request, absl::Span<const float> token_weights,
      ExecutionContext& ctx) const;

  // Takes the place and the activations of `other`, a flow of the same model
  // and windows that was started. ResourceExhausted as Start() has it.
  absl::Status CopyFrom(const CalibrationFlow& other);

  // Runs the block at position() and moves behind it.
  absl::Status Pass(Block& block, ExecutionContext& ctx);

  // The inputs of the block at position(). REQUIRES: Start() was OK.
  const ActivationStore& hidden() const { return *hidden_; }

  uint64_t spilled_bytes() const {
    return hidden_.has_value() ? hidden_->spilled_bytes() : 0;
  }

 private:
  const Model& model_;
  const CalibrationWindows& windows_;
  const ActivationOptions options_;
  std::optional<ActivationStore> hidden_;
  int position_ = -1;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_CALIBRATION_FLOW_H_
