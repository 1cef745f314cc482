// What every layer owes that can be tuned (models/tunable_linear.h).
#ifndef QUANTD_TESTS_MODELS_TUNABLE_CHECKS_H_
#define QUANTD_TESTS_MODELS_TUNABLE_CHECKS_H_

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"

namespace quantd::test {

// Header and tensors as text.
inline std::string SavedBytes(const CompressedLinear& layer) {
  std::vector<TensorToWrite> tensors;
  std::string bytes = layer.Save("l", &tensors).dump();
  for (const TensorToWrite& t : tensors) bytes += t.name + t.bytes;
  return bytes;
}

// The parameters are what is stored: the weight they make is the decoded one,
// freezing what nobody changed changes nothing, a change shows, and what is not
// a number is not stored.
inline void ExpectParametersSayWhatIsStored(const CompressedLinear& layer,
                                            ExecutionContext& ctx) {
  const auto tunable = layer.Tunable();
  ASSERT_NE(tunable, nullptr);
  std::vector<Tensor> parameters = tunable->Parameters();
  ASSERT_FALSE(parameters.empty());
  const Tensor weight = tunable->Weight(parameters, ctx);
  const Tensor decoded = layer.Decode(ctx);
  ASSERT_EQ(weight.shape(), decoded.shape());
  for (int64_t i = 0; i < weight.size(); ++i) {
    ASSERT_NEAR(weight.data()[i], decoded.data()[i],
                1e-6 + 1e-5 * std::abs(decoded.data()[i]));
  }
  ASSERT_OK_AND_ASSIGN(const auto frozen, tunable->Freeze(parameters, ctx));
  EXPECT_EQ(SavedBytes(*frozen), SavedBytes(layer));
  for (Tensor& parameter : parameters) {
    for (float& value : parameter.values()) value *= 1.5f;
  }
  ASSERT_OK_AND_ASSIGN(const auto changed, tunable->Freeze(parameters, ctx));
  const Tensor moved = tunable->Weight(parameters, ctx);
  const Tensor stored = changed->Decode(ctx);
  double difference = 0, size = 0;
  for (int64_t i = 0; i < moved.size(); ++i) {
    difference += std::pow(double{moved.data()[i]} - stored.data()[i], 2);
    size += std::pow(double{moved.data()[i]}, 2);
  }
  // Entries may be stored in eight bits.
  EXPECT_LE(difference, 1e-4 * size);
  parameters[0].data()[0] = std::nanf("");
  EXPECT_FALSE(tunable->Freeze(parameters, ctx).ok());
}

}  // namespace quantd::test

#endif  // QUANTD_TESTS_MODELS_TUNABLE_CHECKS_H_
