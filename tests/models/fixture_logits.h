// Checkpoints with logits of the reference library beside them: config.json,
// model.safetensors, reference.safetensors (input_ids [sequences, tokens] I64,
// logits [sequences, tokens, vocabulary] F32).
#ifndef QUANTD_TESTS_MODELS_FIXTURE_LOGITS_H_
#define QUANTD_TESTS_MODELS_FIXTURE_LOGITS_H_

#include <string>

#include "absl/status/statusor.h"
#include "kernels/device.h"

namespace quantd::test {

// The bound that every checkpoint must keep.
inline constexpr double kLogitBound = 2e-4;

// The largest absolute difference between the logits of `directory`'s model on
// `device` and the reference; NaN counts as infinite.
absl::StatusOr<double> LargestLogitDifference(const std::string& directory,
                                              Device& device);

}  // namespace quantd::test

#endif  // QUANTD_TESTS_MODELS_FIXTURE_LOGITS_H_
