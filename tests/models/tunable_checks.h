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

// Codes can be chosen anew: the nearest to what a unit has is what it has, the
// nearest to anything else is no farther away, and what was chosen is what the
// finished layer decodes to.
inline void ExpectCodesCanBeChosen(const CompressedLinear& layer,
                                   ExecutionContext& ctx) {
  const auto tunable = layer.Tunable();
  ASSERT_NE(tunable, nullptr);
  const std::vector<Tensor> parameters = tunable->Parameters();
  const auto choice = tunable->Codes(parameters, ctx);
  ASSERT_NE(choice, nullptr);
  Tensor weight = tunable->Weight(parameters, ctx).Clone();
  std::vector<int> seen(static_cast<size_t>(weight.size()), 0);
  CodeChoice::PlaceList places;
  std::vector<float> target;
  const auto distance = [&](absl::Span<const float> weights) {
    double sum = 0;
    for (size_t i = 0; i < target.size(); ++i) {
      sum += std::pow(double{weights[i]} - target[i], 2);
    }
    return sum;
  };
  for (int64_t u = 0; u < choice->units(); ++u) {
    choice->Places(u, &places);
    target.clear();
    for (int64_t at : places) {
      ++seen[static_cast<size_t>(at)];
      target.push_back(weight.data()[at]);
    }
    const std::vector<float> own = target;
    const CodeChoice::Candidate same = choice->Nearest(u, target);
    EXPECT_NEAR(distance(same.weights), 0, 1e-8);
    if (u % 3 != 0) continue;
    for (size_t i = 0; i < target.size(); ++i) {
      target[i] = -0.7f * target[i] + (i % 2 == 0 ? 0.3f : -0.4f);
    }
    const double before = distance(own);
    const CodeChoice::Candidate found = choice->Nearest(u, target);
    EXPECT_LE(distance(found.weights), before * (1 + 1e-5) + 1e-9);
    const auto was = choice->CodesOf(u);
    EXPECT_EQ(choice->Choose(u, found.codes), found.codes != was);
    EXPECT_EQ(choice->CodesOf(u), found.codes);
    for (size_t i = 0; i < places.size(); ++i) {
      weight.data()[places[i]] = found.weights[i];
    }
  }
  EXPECT_THAT(seen, testing::Each(1)) << "every weight is in one unit";
  ASSERT_OK_AND_ASSIGN(const auto finished, choice->Finish());
  EXPECT_EQ(finished->layout(), layer.layout());
  const Tensor decoded = finished->Decode(ctx);
  for (int64_t i = 0; i < weight.size(); ++i) {
    ASSERT_NEAR(decoded.data()[i], weight.data()[i],
                1e-6 + 1e-5 * std::abs(weight.data()[i]));
  }
}

}  // namespace quantd::test

#endif  // QUANTD_TESTS_MODELS_TUNABLE_CHECKS_H_
