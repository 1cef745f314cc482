#include "quantizers/tuning_steps.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace quantd {

absl::Status RunSteps(
    absl::string_view what, const LearningRateSchedule& schedule,
    absl::FunctionRef<absl::StatusOr<double>(const TuningStep&)> make,
    const OnTuningStep& on_step) {
  for (int64_t step = 0; step < schedule.steps; ++step) {
    TuningStep made;
    made.step = step;
    made.learning_rate = LearningRateAt(schedule, step);
    ASSIGN_OR_RETURN(made.loss, make(made));
    if (!std::isfinite(made.loss)) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, " diverged: the loss is not finite at step ", step,
                       "; a lower learning_rate may help"));
    }
    if (on_step) on_step(made);
  }
  return absl::OkStatus();
}

std::string DescribeStep(const TuningStep& made, int64_t steps) {
  return absl::StrFormat("step %d of %d, loss %.4g, learning rate %.3g",
                         made.step + 1, steps, made.loss, made.learning_rate);
}

}  // namespace quantd
