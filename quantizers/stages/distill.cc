#include "quantizers/stages/distill.h"

#include "absl/strings/str_cat.h"
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

  absl::Status Validate(const LinearShape& /*layer*/) const override {
    return absl::OkStatus();
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
};

}  // namespace

// --- Factory ---------------------------------------------------------------

std::unique_ptr<Stage> NewDistillStage(const v1::DistillStage& options) {
  return std::make_unique<DistillStage>(options);
}

}  // namespace quantd
