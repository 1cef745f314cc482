// The loop that everything which descends along gradients has in common.
#ifndef QUANTD_QUANTIZERS_TUNING_STEPS_H_
#define QUANTD_QUANTIZERS_TUNING_STEPS_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tensor/optimizer.h"

namespace quantd {

struct TuningStep {
  int64_t step = 0;  // from 0
  double learning_rate = 0;
  double loss = 0;  // of its windows, without penalties
};

// Called after every step; may be empty.
using OnTuningStep = std::function<void(const TuningStep&)>;

// Makes all steps of `schedule`: `make` gets one without its loss and returns
// that. Returns the first error of `make`; InvalidArgument when a loss is not
// finite: "<what> diverged", the step.
absl::Status RunSteps(
    absl::string_view what, const LearningRateSchedule& schedule,
    absl::FunctionRef<absl::StatusOr<double>(const TuningStep&)> make,
    const OnTuningStep& on_step);

// "step 3 of 200, loss 0.1234, learning rate 0.005"
std::string DescribeStep(const TuningStep& made, int64_t steps);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_TUNING_STEPS_H_
