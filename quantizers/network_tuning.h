// Distillation: gradient descent on the parameters of all compressed layers of
// a network together, so that its predictions come near to those of the
// original.
//
//   loss = mean over tokens of T^2 KL(softmax(teacher / T) || softmax(student /
//   T))
//
// A token counts 1 + deviation_weight (H / log V)^deviation_power times, H the
// entropy of the teacher's prediction and V the vocabulary (after the
// deviation-aware distillation of Chen et al., DB-LLM, arXiv:2402.11960).
//
// What is learned is a variable of every layer (learned_layers.h): what the
// layouts store beside their codes, which is the continuous step of PV-Tuning
// (Malinovskii et al., arXiv:2405.14852, section 3.1), or what decides the
// codes. With CODES every step of the parameters is followed by the discrete
// one (code_step.h).
//
// For the whole network there are in memory: parameters, their gradients, the
// optimizer's moments, and a copy of the best parameters; with CODES also
// the gradient of every weight, the two float32 numbers of code_step.h, and the
// codes. Blocks are loaded one at a time (network_pass.h).
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
#include "quantizers/code_step.h"
#include "quantizers/learned_layers.h"
#include "quantizers/network_pass.h"
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
  // Windows, the last ones, that are not trained on. What was best on them at
  // the start, after every `check_steps` steps or at the end is the result.
  int64_t held_out_windows = 8;
  int64_t check_steps = 25;
  double deviation_weight = 0;
  double deviation_power = 1;
  LearnedOptions learned;
  CodeStepOptions codes;  // with variable CODES
};

// KL divergence in nats per token at temperature 1, over the windows held out.
struct NetworkTuningOutcome {
  double divergence_before = 0;
  double divergence_after = 0;
  // Whether it fell; if not, the network is that of the start.
  bool kept = false;
  int64_t best_step = 0;  // steps that were made when it was least
  // With CODES: share of all units whose code is another than at the start.
  double changed_codes = 0;
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
  // InvalidArgument: fewer windows than are held out and one; no layer has what
  // is to be learned; the loss is not finite any more.
  absl::StatusOr<NetworkTuningOutcome> Run(const OnTuningStep& on_step);

  // After Run(): the student's block k with what was learned, or as it was if
  // that was no better.
  absl::StatusOr<std::unique_ptr<Block>> ResultBlock(int k);

 private:
  // Parameters of one block: one list a layer, empty where there is nothing to
  // tune.
  using BlockParameters = std::vector<std::vector<Tensor>>;
  // Layers of one block whose codes are not those of the checkpoint any more;
  // null where they are.
  using BlockCodes = std::vector<std::shared_ptr<const CompressedLinear>>;
  struct State {
    std::vector<BlockParameters> parameters;  // of every block
    std::vector<BlockCodes> codes;
    State Clone() const;
  };

  bool chooses_codes() const {
    return options_.learned.variable == v1::TuneStage::CODES;
  }

  absl::Status Prepare();
  // Loads the student's block k with the codes of `state_`, and makes
  // tunables_.
  absl::StatusOr<std::unique_ptr<Block>> LoadStudent(int k);
  // The same, computing with the parameters.
  absl::StatusOr<std::unique_ptr<Block>> StudentBlock(int k);
  // The gradients of block k's parameters, of tunables_, from those of its
  // weights.
  absl::StatusOr<BlockParameters> ParameterGradients(
      int k, absl::Span<const Tensor> weights);
  absl::StatusOr<double> Step(const std::vector<int64_t>& windows, double rate);
  // The loss of window w, and its gradient with respect to what leaves the last
  // block, `hidden`; `taught` is what leaves the teacher's. Tokens count
  // 1 / rows.
  struct Loss {
    double value = 0;
    Tensor gradient;
  };
  absl::StatusOr<Loss> Distance(const Tensor& taught, const Tensor& hidden,
                                double rows);
  // Chooses codes of all layers by the gradients of their weights.
  absl::Status ChooseCodes(double rate,
                           absl::Span<const std::vector<Tensor>> gradients);
  // What the teacher's last block makes of the windows.
  absl::StatusOr<std::vector<Tensor>> TeacherOutputs(
      const std::vector<absl::Span<const int32_t>>& tokens);
  // Mean over the windows held out, of which `taught` is what the teacher's
  // last block makes.
  absl::StatusOr<double> Divergence(
      const std::vector<absl::Span<const int32_t>>& held_out,
      const std::vector<Tensor>& taught, NetworkPass::BlockSource blocks);
  // The share of units whose codes are not those of the checkpoint.
  absl::StatusOr<double> ChangedCodes();
  // Block k as it would be stored now.
  absl::StatusOr<std::unique_ptr<Block>> FinishedBlock(int k);

  const Model& teacher_;
  const Model& student_;
  const CalibrationWindows& windows_;
  const NetworkTuningOptions options_;
  ExecutionContext& ctx_;
  State state_;
  std::vector<double> factors_;  // of the parameters' learning rates
  std::vector<std::vector<CodeStep>> code_steps_;  // by block and layer
  // Of the layers of the block that LoadStudent() loaded last; null where there
  // is nothing to tune.
  std::vector<std::unique_ptr<TunableLinear>> tunables_;
  std::unique_ptr<Optimizer> optimizer_;
  bool kept_ = false;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_NETWORK_TUNING_H_
