// Learned powers begin where the solver ended, follow the exponent and end on
// the power grid.
#include "quantizers/learned_power.h"

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "models/layouts/lookup_table.h"
#include "models/layouts/value_tables.h"
#include "quantizers/grids/power.h"
#include "quantizers/round_to_nearest.h"
#include "tensor/gradient_tape.h"
#include "tests/models/tunable_checks.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::RandomMatrix;
using ::quantd::test::SavedBytes;
using ::quantd::test::StatusIs;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr int64_t kRows = 6;
constexpr int64_t kCols = 16;

v1::PowerGrid PowerOptions(uint32_t bits, double exponent) {
  v1::PowerGrid options;
  options.set_bits(bits);
  options.set_exponent(exponent);
  options.set_group_size(8);
  options.set_shrink_norm(2.4);
  options.set_shrink_steps(80);
  return options;
}

class LearnedPowerTest : public testing::Test {
 protected:
  std::shared_ptr<const CompressedLinear> Round(const v1::PowerGrid& options) {
    LayerWork item;
    item.weight = w_;
    EXPECT_THAT(RoundToNearest(*NewPowerGrid(options), {}, item, ctx_), IsOk());
    return item.compressed;
  }

  std::unique_ptr<TunableLinear> Make(const CompressedLinear& start,
                                      bool learn_range = true) {
    LearnedOptions options;
    options.variable = v1::TuneStage::POWER;
    options.learn_range = learn_range;
    options.range_rate = 0.125;
    return *NewLearnedPower(start, w_, options);
  }

  const std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
  Tensor w_ = RandomMatrix(kRows, kCols, 3);
};

TEST_F(LearnedPowerTest, TheExponentIsFoundInTheTable) {
  for (int bits = 2; bits <= 8; ++bits) {
    for (const double a : {0.1, 0.2, 0.37, 0.5, 0.81234567, 1.0}) {
      std::vector<float> values =
          PowerValues(bits, a, PowerRounding::kPower).values();
      const auto found = ExponentOfPowerValues(values);
      ASSERT_TRUE(found.has_value()) << bits << " " << a;
      EXPECT_NEAR(*found, a, 1e-6 * a);
      values[1] *= 1.001f;
      EXPECT_FALSE(ExponentOfPowerValues(values).has_value());
    }
  }
  EXPECT_FALSE(ExponentOfPowerValues({-1, 1}).has_value());
  EXPECT_FALSE(ExponentOfPowerValues(StandardValues("nf4")).has_value());
  EXPECT_FALSE(ExponentOfPowerValues(StandardValues("e2m1")).has_value());
}

TEST_F(LearnedPowerTest, BeginsWithTheSolversLayer) {
  for (uint32_t bits = 2; bits <= 5; ++bits) {
    for (const double a : {0.15, 0.4321, 0.5, 1.0}) {
      v1::PowerGrid options = PowerOptions(bits, a);
      for (const bool shrink : {false, true}) {
        for (const bool to_value : {false, true}) {
          options.set_shrink_search(shrink);
          options.set_round_to_value(to_value);
          const auto layer = Round(options);
          for (const bool learn_range : {false, true}) {
            const auto tunable = Make(*layer, learn_range);
            std::vector<Tensor> p = tunable->Parameters();
            EXPECT_EQ(p.size(), learn_range ? 2u : 1u);
            tunable->Project(absl::MakeSpan(p));
            ASSERT_OK_AND_ASSIGN(const auto frozen, tunable->Freeze(p, ctx_));
            EXPECT_EQ(SavedBytes(*frozen), SavedBytes(*layer)) << bits << a;
            if (to_value) continue;
            for (const float offset : p[0].values()) EXPECT_EQ(offset, 0);
          }
        }
      }
    }
  }
}

// Also where the solver chose other codes than the nearest.
TEST_F(LearnedPowerTest, BeginsWithTheCodesOfAnySolver) {
  LookupTableWeights start = *UnpackLookupTable(*Round(PowerOptions(3, 0.6)));
  for (size_t i = 0; i < start.codes.size(); i += 3) {
    start.codes[i] = static_cast<uint8_t>(start.codes[i] ^ 5);
  }
  ASSERT_OK_AND_ASSIGN(const auto moved, NewLookupTable(start));
  const auto tunable = Make(*moved);
  ASSERT_OK_AND_ASSIGN(const auto frozen,
                       tunable->Freeze(tunable->Parameters(), ctx_));
  EXPECT_EQ(SavedBytes(*frozen), SavedBytes(*moved));
}

TEST_F(LearnedPowerTest, TheWeightIsWhatIsFrozen) {
  for (const float moved : {0.0f, -0.05f, 0.07f}) {
    const auto tunable = Make(*Round(PowerOptions(3, 0.5)));
    std::vector<Tensor> p = tunable->Parameters();
    const Tensor noise = RandomMatrix(kRows, kCols, 5);
    for (int64_t i = 0; i < noise.size(); ++i) {
      p[0].data()[i] += 2 * noise.data()[i];
    }
    p[1].data()[0] += moved;
    tunable->Project(absl::MakeSpan(p));
    ASSERT_OK_AND_ASSIGN(const auto frozen, tunable->Freeze(p, ctx_));
    EXPECT_EQ(frozen->layout(), kLookupTableLayout);
    EXPECT_THAT(frozen->Decode(ctx_).values(),
                ElementsAreArray(tunable->Weight(p, ctx_).values()));
    // A table of the same kind: it can be learned from again.
    const auto table = UnpackLookupTable(*frozen)->values;
    EXPECT_NEAR(ExponentOfPowerValues(table).value(), 0.5 + moved, 1e-6);
  }
}

// What rounding does not decide: with codes held fixed, by finite differences
// of what is frozen.
TEST_F(LearnedPowerTest, TheGradientOfTheExponentIsThatOfTheWeight) {
  const auto tunable = Make(*Round(PowerOptions(4, 0.5)));
  const std::vector<Tensor> p = tunable->Parameters();
  const Tensor seed = RandomMatrix(kRows, kCols, 7);
  GradientTape tape(ctx_);
  const std::vector<Tensor> watched = {tape.Watch(p[0]), tape.Watch(p[1])};
  const Tensor weight = tunable->Weight(watched, ctx_);
  ASSERT_THAT(tape.Backward({{weight, seed}}), IsOk());
  const LookupTableWeights layer =
      *UnpackLookupTable(*Round(PowerOptions(4, 0.5)));
  // sum(seed * weight) of exponent a, in float64; scales not rounded.
  const double top = 7;
  double of_codes = 0, of_units = 0;
  for (int64_t r = 0; r < kRows; ++r) {
    for (int64_t c = 0; c < kCols; ++c) {
      const size_t g = static_cast<size_t>(2 * r + c / 8);
      const double range = layer.scales[g] * double{layer.values.back()};
      const double w = w_.row(r)[c];
      const double code = layer.codes[static_cast<size_t>(r * kCols + c)] - 8.0;
      const auto value = [&](double a) {
        return std::copysign(range * std::pow(std::abs(code) / top, 1 / a),
                             code);
      };
      const auto units = [&](double a) {
        return std::copysign(top * std::pow(std::abs(w) / range, a), w);
      };
      const double h = 1e-5;
      of_codes += seed.row(r)[c] * (value(0.5 + h) - value(0.5 - h)) / (2 * h);
      // Straight through the rounding.
      const double slope =
          range / (0.5 * top) *
          std::pow(std::max(std::abs(units(0.5)), 0.5) / top, 1 / 0.5 - 1);
      of_units +=
          seed.row(r)[c] * slope * (units(0.5 + h) - units(0.5 - h)) / (2 * h);
    }
  }
  EXPECT_NEAR(tape.Gradient(watched[1]).data()[0], of_codes + of_units,
              1e-4 * (std::abs(of_codes) + std::abs(of_units)));
  // No weight is lost at code 0.
  for (const float d : tape.Gradient(watched[0]).values()) EXPECT_NE(d, 0);
}

TEST_F(LearnedPowerTest, OffsetsMoveCodesByAnyNumber) {
  const auto layer = Round(PowerOptions(4, 0.5));
  const auto tunable = Make(*layer);
  std::vector<Tensor> p = tunable->Parameters();
  for (float& v : p[0].values()) v += 3;
  tunable->Project(absl::MakeSpan(p));
  ASSERT_OK_AND_ASSIGN(const auto frozen, tunable->Freeze(p, ctx_));
  const auto before = UnpackLookupTable(*layer)->codes;
  const auto after = UnpackLookupTable(*frozen)->codes;
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i], std::min(before[i] + 3, 15));
  }
}

TEST_F(LearnedPowerTest, TheExponentStaysInItsRangeAndHasItsRate) {
  const auto tunable = Make(*Round(PowerOptions(4, 0.5)));
  EXPECT_EQ(tunable->LearningRateFactor(0), 1);
  EXPECT_EQ(tunable->LearningRateFactor(1), 0.125);
  std::vector<Tensor> p = tunable->Parameters();
  p[1].data()[0] = 1.2f;
  tunable->Project(absl::MakeSpan(p));
  EXPECT_EQ(p[1].data()[0], 1);
  p[1].data()[0] = -3;
  tunable->Project(absl::MakeSpan(p));
  EXPECT_EQ(p[1].data()[0], 0.2f);
}

TEST_F(LearnedPowerTest, GroupsOfZerosStayZero) {
  for (int64_t c = 0; c < 8; ++c) w_.row(2)[c] = 0;
  const auto layer = Round(PowerOptions(3, 0.5));
  const auto tunable = Make(*layer);
  std::vector<Tensor> p = tunable->Parameters();
  for (float& v : p[0].values()) v += 2;
  p[1].data()[0] = 0.4f;
  tunable->Project(absl::MakeSpan(p));
  const Tensor weight = tunable->Weight(p, ctx_);
  for (int64_t c = 0; c < 8; ++c) EXPECT_EQ(weight.row(2)[c], 0);
  EXPECT_NE(weight.row(2)[8], 0);
}

TEST_F(LearnedPowerTest, OtherLayersAreRefused) {
  LearnedOptions options;
  options.variable = v1::TuneStage::POWER;
  LookupTableWeights layer = *UnpackLookupTable(*Round(PowerOptions(3, 0.5)));
  layer.values[2] += 0.01f;
  EXPECT_THAT(NewLearnedPower(**NewLookupTable(layer), w_, options),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("POWER needs the table of a power grid")));
  layer.table = "nf3";
  EXPECT_THAT(
      NewLearnedPower(**NewLookupTable(layer), w_, options),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not nf3")));
}

TEST_F(LearnedPowerTest, WhatIsNotANumberIsNotStored) {
  const auto tunable = Make(*Round(PowerOptions(3, 0.5)));
  for (size_t n = 0; n < 2; ++n) {
    std::vector<Tensor> p = tunable->Parameters();
    p[n].data()[0] = std::nanf("");
    EXPECT_THAT(tunable->Freeze(p, ctx_),
                StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
  }
}

}  // namespace
}  // namespace quantd
