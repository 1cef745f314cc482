// Distillation: gradient descent on the parameters of all compressed layers of
// a network together, so that its predictions come near to those of the
// original.
//
//   loss = mean over tokens of T^2 KL(softmax(teacher / T) || softmax(student /
//   T))
//
// Codes stay; what is learned is what the layouts store beside them
// (CompressedLinear::Tunable): the continuous step of PV-Tuning (Malinovskii et
// al., arXiv:2405.14852, section 3.1). Nothing but parameters, their gradients
// and the optimizer's moments is kept for the whole network; blocks are loaded
// one at a time (network_pass.h).
#ifndef QUANTD_QUANTIZERS_NETWORK_TUNING_H_
#define QUANTD_QUANTIZERS_NETWORK_TUNING_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/model.h"
#include "models/tunable_linear.h"
#include "quantizers/calibration.h"
#include "quantizers/tuning_steps.h"
#include "tensor/optimizer.h"
#include "tensor/tensor.h"

namespace quantd {

struct NetworkTuningOptions {
  OptimizerOptions optimizer;
  LearningRateSchedule schedule;  // its steps are those that are made
  int64_t batch_windows = 8;
  double temperature = 1;
  double gradient_limit = 0;  // 0: none
  uint64_t seed = 0;
  // Windows, the last ones, that are not trained on but decide whether the
  // result is better than what it began with.
  int64_t held_out_windows = 8;
};

// KL divergence in nats per token at temperature 1, over the windows held out.
struct NetworkTuningOutcome {
  double divergence_before = 0;
  double divergence_after = 0;
  // Whether it fell; if not, the parameters are those of the start.
  bool kept = false;
};

class NetworkTuning {
 public:
  // `student` is a compressed checkpoint of `teacher`; both and `windows`
  // outlive the object.
  NetworkTuning(const Model& teacher, const Model& student,
                const CalibrationWindows& windows,
                const NetworkTuningOptions& options, ExecutionContext& ctx)
      : teacher_(teacher),
        student_(student),
        windows_(windows),
        options_(options),
        ctx_(ctx) {}

  // Cancelled soon after the context is.
  // InvalidArgument: fewer windows than are held out and one; the loss is not
  // finite any more.
  absl::StatusOr<NetworkTuningOutcome> Run(const OnTuningStep& on_step);

  // After Run(): the student's block k with what was learned.
  absl::StatusOr<std::unique_ptr<Block>> FinishedBlock(int k);

 private:
  // Parameters of one block: one list a layer, empty where there is nothing to
  // tune.
  using BlockParameters = std::vector<std::vector<Tensor>>;

  absl::Status Prepare();
  // The student's block k, computing with the parameters; makes tunables_.
  absl::StatusOr<std::unique_ptr<Block>> StudentBlock(int k);
  // The gradients of block k's parameters, of tunables_, from those of its
  // weights.
  absl::StatusOr<BlockParameters> ParameterGradients(
      int k, absl::Span<const Tensor> weights);
  absl::StatusOr<double> Step(const std::vector<int64_t>& windows, double rate);
  // What the teacher's last block makes of the windows.
  absl::StatusOr<std::vector<Tensor>> TeacherOutputs(
      const std::vector<absl::Span<const int32_t>>& tokens);
  // Mean over the windows held out, of which `taught` is what the teacher's
  // last block makes.
  absl::StatusOr<double> Divergence(
      const std::vector<absl::Span<const int32_t>>& held_out,
      const std::vector<Tensor>& taught);

  const Model& teacher_;
  const Model& student_;
  const CalibrationWindows& windows_;
  const NetworkTuningOptions options_;
  ExecutionContext& ctx_;
  std::vector<BlockParameters> parameters_;  // of every block
  std::vector<BlockParameters> start_;
  // Of the layers of the block that StudentBlock() loaded last; null where
  // there is nothing to tune.
  std::vector<std::unique_ptr<TunableLinear>> tunables_;
  std::unique_ptr<Optimizer> optimizer_;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_NETWORK_TUNING_H_
