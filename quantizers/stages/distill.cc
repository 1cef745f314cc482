#include "quantizers/stages/distill.h"

#include "absl/strings/str_cat.h"
#include "proto/field_rules.h"
#include "quantizers/learned_layers.h"
#include "quantizers/tuning_options.h"

namespace quantd {
namespace {

// --- Stage -----------------------------------------------------------------

class DistillStage final : public Stage {
 public:
  explicit DistillStage(const v1::DistillStage& options) {
    tuning_.optimizer =
        OptimizerFrom(options.optimizer(), options.weight_decay());
    tuning_.schedule = ScheduleFrom(options.schedule(), options.learning_rate(),
                                    options.steps(), options.warmup_steps());
    tuning_.batch_windows = options.batch_windows();
    tuning_.temperature = options.temperature();
    tuning_.gradient_limit = options.gradient_limit();
    tuning_.held_out_windows = options.held_out_windows();
    tuning_.seed = options.seed();
    tuning_.check_steps = options.check_steps();
    tuning_.deviation_weight = options.deviation_weight();
    tuning_.deviation_power = options.deviation_power();
    tuning_.learned.variable = options.variable();
    tuning_.learned.range_rate = options.range_rate();
    tuning_.codes.rate = options.code_rate();
    tuning_.codes.share = options.code_share();
    tuning_.codes.trust_ratio = options.trust_ratio();
    tuning_.codes.decay = options.code_decay();
  }

  absl::string_view name() const override { return "distill"; }

  absl::Status ValidateModel(const ModelDescription& model) const override {
    if (!model.predicts_next_token) {
      return absl::InvalidArgumentError(
          absl::StrCat("distill: family ", model.architecture,
                       " does not predict the next token: there is nothing to "
                       "distil"));
    }
    return absl::OkStatus();
  }

  void set_solver_grid(const Grid* grid) override { grid_ = grid; }

  absl::Status Validate(const LinearShape& /*layer*/) const override {
    const v1::TuneStage::Variable variable = tuning_.learned.variable;
    if (variable == v1::TuneStage::SIGMOID ||
        variable == v1::TuneStage::MAPPING) {
      return InvalidField(
          "distill.variable",
          absl::StrCat(v1::TuneStage::Variable_Name(variable),
                       " is learned block by block: there is tune for it"));
    }
    return CheckLearnedVariable("distill", variable, grid_);
  }

  StatisticsRequest Needs() const override {
    StatisticsRequest request;
    request.windows = true;
    return request;
  }

  StageCost Cost(const LinearShape& /*layer*/) const override { return {}; }

  const NetworkTuningOptions* network_tuning() const override {
    return &tuning_;
  }

  absl::Status ProcessBlock(BlockWork& /*work*/,
                            ExecutionContext& ctx) override {
    return ctx.CheckCancelled();
  }

 private:
  NetworkTuningOptions tuning_;
  const Grid* grid_ = nullptr;
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewDistillStage(const v1::DistillStage& options) {
  return std::make_unique<DistillStage>(options);
}

}  // namespace quantd
