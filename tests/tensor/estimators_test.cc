// Values and gradients of tensor/estimators.h: smooth operations against
// central differences, estimators against the formulas of their papers.
#include "tensor/estimators.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tensor/gradient_tape.h"
#include "tensor/ops.h"
#include "tests/tensor/gradient_checker.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::Doubles;
using ::quantd::test::Inputs;
using ::quantd::test::IsOk;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

class EstimatorsTest : public test::GradientChecker {
 protected:
  // Gradients of sum(seed * f(inputs)).
  template <typename F>
  std::vector<Tensor> GradientsOf(const Inputs& inputs, const Tensor& seed,
                                  F f) {
    GradientTape tape(ctx_);
    Inputs watched;
    for (const Tensor& input : inputs) watched.push_back(tape.Watch(input));
    const Tensor y = f(watched);
    EXPECT_THAT(tape.Backward({{y, seed}}), IsOk());
    std::vector<Tensor> gradients;
    for (const Tensor& leaf : watched) gradients.push_back(tape.Gradient(leaf));
    return gradients;
  }

  // Positive, away from zero.
  Tensor Positive(Shape shape) {
    Tensor t = Random(std::move(shape), 0.4f);
    for (float& v : t.values()) v += 1;
    return t;
  }
};

TEST_P(EstimatorsTest, RoundingPassesTheGradientStraightThrough) {
  const Tensor x =
      Tensor::FromValues({1, 6}, {-1.5f, -0.4f, 0.5f, 1.5f, 2.4f, 9});
  const Tensor seed = Random({1, 6});
  EXPECT_THAT(ops::RoundStraightThrough(x, ctx_).values(),
              ElementsAre(-2, 0, 0, 2, 2, 9));
  const auto dx = GradientsOf({x}, seed, [&](const Inputs& in) {
    return ops::RoundStraightThrough(in[0], ctx_);
  });
  EXPECT_THAT(dx[0].values(), ElementsAreArray(seed.values()));
}

TEST_P(EstimatorsTest, StoredNumbersAreUsedWhileTheyAreTrained) {
  const Tensor x = Tensor::FromValues({3}, {0.1f, 1e6f, -2.0f});
  EXPECT_THAT(ops::RoundToF16StraightThrough(x, ctx_).values(),
              ElementsAre(0.0999755859375f, 65504.0f, -2.0f));
  const Tensor seed = Random({3});
  const auto dx = GradientsOf({x}, seed, [&](const Inputs& in) {
    return ops::RoundToF16StraightThrough(in[0], ctx_);
  });
  EXPECT_THAT(dx[0].values(), ElementsAreArray(seed.values()));
}

TEST_P(EstimatorsTest, ClipStopsTheGradientOutside) {
  const Tensor x = Tensor::FromValues({5}, {-1, 0, 1.5f, 3, 3.5f});
  const Tensor seed = Tensor::FromValues({5}, {1, 2, 3, 4, 5});
  EXPECT_THAT(ops::Clip(x, 0, 3, ctx_).values(), ElementsAre(0, 0, 1.5f, 3, 3));
  const auto dx = GradientsOf({x}, seed, [&](const Inputs& in) {
    return ops::Clip(in[0], 0, 3, ctx_);
  });
  EXPECT_THAT(dx[0].values(), ElementsAre(0, 2, 3, 4, 0));
}

TEST_P(EstimatorsTest, StraightThroughHasTwoWays) {
  // Signs, as a made thing of x alone and of x and a factor.
  const Tensor x = Tensor::FromValues({1, 4}, {-2, -0.5f, 0.5f, 2});
  const Tensor signs = Tensor::FromValues({1, 4}, {-1, -1, 1, 1});
  const Tensor slopes = Tensor::FromValues({1, 4}, {0, 1, 1, 0.5f});
  const Tensor seed = Tensor::FromValues({1, 4}, {1, 2, 3, 4});
  EXPECT_THAT(ops::StraightThrough(signs, x, slopes, ctx_).values(),
              ElementsAreArray(signs.values()));
  const auto one = GradientsOf({x}, seed, [&](const Inputs& in) {
    return ops::StraightThrough(signs, in[0], slopes, ctx_);
  });
  EXPECT_THAT(one[0].values(), ElementsAre(0, 2, 3, 2));
  const Tensor factors = Tensor::FromValues({1, 4}, {3, 3, 3, 3});
  const auto both = GradientsOf({x, factors}, seed, [&](const Inputs& in) {
    const Tensor y = ops::Multiply(signs, in[1], ctx_);
    return ops::StraightThrough(y, in[0], slopes, ctx_);
  });
  EXPECT_THAT(both[0].values(), ElementsAre(0, 2, 3, 2));
  EXPECT_THAT(both[1].values(), ElementsAre(-1, -2, 3, 4));
  const auto other = GradientsOf({factors}, seed, [&](const Inputs& in) {
    return ops::StraightThrough(ops::Multiply(signs, in[0], ctx_), x, slopes,
                                ctx_);
  });
  EXPECT_THAT(other[0].values(), ElementsAre(-1, -2, 3, 4));
}

TEST_P(EstimatorsTest, RectifiedSigmoid) {
  Check(
      "rectified sigmoid", {Random({4, 5}, 1.5f)},
      [](const Inputs& in, ExecutionContext& ctx) {
        return ops::RectifiedSigmoid(in[0], ctx);
      },
      [](const std::vector<Doubles>& in) {
        Doubles y = in[0];
        for (double& v : y) {
          v = std::clamp(1.2 / (1 + std::exp(-v)) - 0.1, 0.0, 1.0);
        }
        return y;
      });
  // Far out it is exactly 0 or 1, without a slope.
  const Tensor far = Tensor::FromValues({2}, {-9, 9});
  EXPECT_THAT(ops::RectifiedSigmoid(far, ctx_).values(), ElementsAre(0, 1));
  const auto d = GradientsOf({far}, Random({2}), [&](const Inputs& in) {
    return ops::RectifiedSigmoid(in[0], ctx_);
  });
  EXPECT_THAT(d[0].values(), ElementsAre(0, 0));
}

TEST_P(EstimatorsTest, RoundingPenalty) {
  Tensor h = Random({3, 4}, 0.4f);
  for (float& v : h.values()) v += 0.5f;
  for (const float beta : {2.0f, 5.0f, 20.0f}) {
    Check(
        "penalty", {h},
        [beta](const Inputs& in, ExecutionContext& ctx) {
          return ops::RoundingPenalty(in[0], beta, ctx);
        },
        [beta](const std::vector<Doubles>& in) {
          double sum = 0;
          for (double v : in[0]) sum += 1 - std::pow(std::abs(2 * v - 1), beta);
          return Doubles{sum};
        });
  }
  EXPECT_EQ(ops::RoundingPenalty(Tensor::FromValues({4}, {0, 1, 1, 0}), 7, ctx_)
                .data()[0],
            0);
}

// Equation 3 of arXiv:1902.08153 and its counterpart for offsets.
TEST_P(EstimatorsTest, LearnedStepSizeFollowsItsPaper) {
  const ChannelGroups groups{3, nullptr};
  const Tensor x = Random({4, 6}, 3);
  const Tensor scales = Positive({4, 2});
  Tensor zeros = Random({4, 2}, 1);
  const Tensor seed = Random({4, 6});
  const float low = 0, high = 3;
  const auto gradients =
      GradientsOf({x, scales, zeros}, seed, [&](const Inputs& in) {
        return ops::LsqQuantize(in[0], in[1], in[2], low, high, groups, ctx_);
      });
  const Tensor y = ops::LsqQuantize(x, scales, zeros, low, high, groups, ctx_);
  std::vector<double> dscale(8, 0.0), dzero(8, 0.0);
  int inside = 0;
  for (int64_t r = 0; r < 4; ++r) {
    for (int64_t c = 0; c < 6; ++c) {
      const size_t g = static_cast<size_t>(2 * r + c / 3);
      const double s = scales.data()[g], z = zeros.data()[g];
      const double v = x.row(r)[c], d = seed.row(r)[c];
      const double q = std::nearbyint(v / s + z);
      if (q >= low && q <= high) {
        ++inside;
        EXPECT_NEAR(y.row(r)[c], s * (q - z), 1e-5);
        EXPECT_EQ(gradients[0].row(r)[c], seed.row(r)[c]);
        dscale[g] += d * (q - z - v / s);
      } else {
        const double end = q < low ? low : high;
        EXPECT_NEAR(y.row(r)[c], s * (end - z), 1e-5);
        EXPECT_EQ(gradients[0].row(r)[c], 0);
        dscale[g] += d * (end - z);
        dzero[g] -= d * s;
      }
    }
  }
  EXPECT_GT(inside, 3);
  EXPECT_LT(inside, 21);
  for (size_t g = 0; g < 8; ++g) {
    EXPECT_NEAR(gradients[1].data()[g], dscale[g], 1e-4);
    EXPECT_NEAR(gradients[2].data()[g], dzero[g], 1e-4);
  }
}

// Where nothing is clipped, it is what its parts make of it.
TEST_P(EstimatorsTest, LearnedStepSizeIsTheCompositionOfItsParts) {
  const ChannelGroups groups{4, nullptr};
  const Tensor x = Random({5, 8});
  const Tensor scales = Positive({5, 2});
  const Tensor zeros = Tensor::FromValues({5, 2}, std::vector<float>(10, 3));
  const Tensor seed = Random({5, 8});
  const auto whole =
      GradientsOf({x, scales, zeros}, seed, [&](const Inputs& in) {
        return ops::LsqQuantize(in[0], in[1], in[2], 0, 7, groups, ctx_);
      });
  const auto parts =
      GradientsOf({x, scales, zeros}, seed, [&](const Inputs& in) {
        const Tensor q = ops::Clip(
            ops::RoundStraightThrough(
                ops::ToCodeUnits(in[0], in[1], in[2], groups, ctx_), ctx_),
            0, 7, ctx_);
        return ops::FromCodeUnits(q, in[1], in[2], groups, ctx_);
      });
  for (size_t n = 0; n < 2; ++n) {
    for (int64_t i = 0; i < whole[n].size(); ++i) {
      EXPECT_NEAR(whole[n].data()[i], parts[n].data()[i], 1e-5);
    }
  }
  for (int64_t i = 0; i < parts[2].size(); ++i) {
    EXPECT_NEAR(parts[2].data()[i], 0, 1e-5);
  }
}

TEST_P(EstimatorsTest, ScaledGradient) {
  const Tensor x = Random({3, 2});
  const Tensor seed = Tensor::FromValues({3, 2}, {1, 2, 3, 4, 5, 6});
  EXPECT_THAT(ops::ScaleGradient(x, 0.5f, ctx_).values(),
              ElementsAreArray(x.values()));
  const auto dx = GradientsOf({x}, seed, [&](const Inputs& in) {
    return ops::ScaleGradient(in[0], 0.5f, ctx_);
  });
  EXPECT_THAT(dx[0].values(), ElementsAre(0.5f, 1, 1.5f, 2, 2.5f, 3));
}

TEST_P(EstimatorsTest, CodeUnits) {
  ChannelGroups regrouped{3, std::make_shared<const std::vector<int32_t>>(
                                 std::vector<int32_t>{1, 0, 0, 1, 1, 0})};
  for (const ChannelGroups& groups : {ChannelGroups{3, nullptr}, regrouped}) {
    const auto group = [groups](size_t i) {
      return 2 * (i / 6) + static_cast<size_t>(groups.Of(i % 6));
    };
    const Inputs inputs = {Random({4, 6}), Positive({4, 2}), Random({4, 2})};
    Check(
        "to", inputs,
        [groups](const Inputs& in, ExecutionContext& ctx) {
          return ops::ToCodeUnits(in[0], in[1], in[2], groups, ctx);
        },
        [group](const std::vector<Doubles>& in) {
          Doubles y = in[0];
          for (size_t i = 0; i < y.size(); ++i) {
            y[i] = y[i] / in[1][group(i)] + in[2][group(i)];
          }
          return y;
        });
    Check(
        "from", inputs,
        [groups](const Inputs& in, ExecutionContext& ctx) {
          return ops::FromCodeUnits(in[0], in[1], in[2], groups, ctx);
        },
        [group](const std::vector<Doubles>& in) {
          Doubles y = in[0];
          for (size_t i = 0; i < y.size(); ++i) {
            y[i] = in[1][group(i)] * (y[i] - in[2][group(i)]);
          }
          return y;
        });
  }
}

TEST_P(EstimatorsTest, MeansOfGroups) {
  ChannelGroups regrouped{3, std::make_shared<const std::vector<int32_t>>(
                                 std::vector<int32_t>{1, 0, 0, 1, 1, 0})};
  // Nothing of the last row's first group counts under consecutive groups.
  const Tensor counted = Tensor::FromValues({3, 6}, {1, 1, 1, 1, 1, 1,  //
                                                     0, 1, 1, 1, 0, 0,  //
                                                     0, 0, 0, 1, 1, 0});
  for (const ChannelGroups& groups : {ChannelGroups{3, nullptr}, regrouped}) {
    Check(
        "means", {Random({3, 6})},
        [&](const Inputs& in, ExecutionContext& ctx) {
          return ops::GroupMeans(in[0], counted, groups, ctx);
        },
        [&](const std::vector<Doubles>& in) {
          Doubles sums(6, 0.0), counts(6, 0.0);
          for (size_t i = 0; i < 18; ++i) {
            const size_t g =
                2 * (i / 6) + static_cast<size_t>(groups.Of(i % 6));
            sums[g] += counted.data()[i] * in[0][i];
            counts[g] += counted.data()[i];
          }
          for (size_t g = 0; g < 6; ++g) {
            sums[g] = counts[g] > 0 ? sums[g] / counts[g] : 0.0;
          }
          return sums;
        });
  }
}

TEST_P(EstimatorsTest, TablesAndPlaces) {
  const auto indices = std::make_shared<const ops::ValueIndices>(
      ops::ValueIndices{{0, 1, 1, 2, 0, 4}, {3, 3, ops::kNoValue, 4, 4, 3}});
  Check(
      "gather", {Random({5})},
      [indices](const Inputs& in, ExecutionContext& ctx) {
        return ops::GatherValues(in[0], indices, {2, 3}, ctx);
      },
      [indices](const std::vector<Doubles>& in) {
        Doubles y(6, 0.0);
        for (const auto& list : *indices) {
          for (size_t i = 0; i < 6; ++i) {
            if (list[i] != ops::kNoValue) y[i] += in[0][list[i]];
          }
        }
        return y;
      });
  const auto places = std::make_shared<const std::vector<uint64_t>>(
      std::vector<uint64_t>{1, 5});
  Check(
      "replace", {Random({2, 3}), Random({2})},
      [places](const Inputs& in, ExecutionContext& ctx) {
        return ops::ReplaceValues(in[0], in[1], places, ctx);
      },
      [](const std::vector<Doubles>& in) {
        Doubles y = in[0];
        y[1] = in[1][0];
        y[5] = in[1][1];
        return y;
      });
}

TEST_P(EstimatorsTest, FactorsAndFunctions) {
  const Tensor factors = Positive({3});
  Check(
      "columns", {Random({4, 3})},
      [factors](const Inputs& in, ExecutionContext& ctx) {
        return ops::ScaleColumns(in[0], factors, ctx);
      },
      [factors](const std::vector<Doubles>& in) {
        Doubles y = in[0];
        for (size_t i = 0; i < y.size(); ++i) y[i] *= factors.data()[i % 3];
        return y;
      });
  Check(
      "rows", {Random({4, 3}), Random({4})},
      [](const Inputs& in, ExecutionContext& ctx) {
        return ops::ScaleRows(in[0], in[1], ctx);
      },
      [](const std::vector<Doubles>& in) {
        Doubles y = in[0];
        for (size_t i = 0; i < y.size(); ++i) y[i] *= in[1][i / 3];
        return y;
      });
  Check(
      "exp", {Random({4, 3})},
      [](const Inputs& in, ExecutionContext& ctx) {
        return ops::Exp(in[0], ctx);
      },
      [](const std::vector<Doubles>& in) {
        Doubles y = in[0];
        for (double& v : y) v = std::exp(v);
        return y;
      });
  Check(
      "divide", {Random({4, 3}), Positive({4, 3})},
      [](const Inputs& in, ExecutionContext& ctx) {
        return ops::Divide(in[0], in[1], ctx);
      },
      [](const std::vector<Doubles>& in) {
        Doubles y = in[0];
        for (size_t i = 0; i < y.size(); ++i) y[i] /= in[1][i];
        return y;
      });
}

// --- Powers ----------------------------------------------------------------

// Rows of two groups and what code `top` stands for in each.
class PowersTest : public EstimatorsTest {
 protected:
  static constexpr float kTop = 7;

  // The values of code 1.
  Tensor Ones(double exponent) const {
    Tensor ones = ranges_.Clone();
    for (float& v : ones.values()) {
      v = static_cast<float>(v * std::pow(kTop, -1 / exponent));
    }
    return ones;
  }

  // value(q) / R.
  static std::shared_ptr<const std::vector<float>> Values(double exponent) {
    std::vector<float> values;
    for (float q = -kTop - 1; q <= kTop; ++q) {
      values.push_back(static_cast<float>(
          std::copysign(std::pow(std::abs(q) / kTop, 1 / exponent), q)));
    }
    return std::make_shared<const std::vector<float>>(std::move(values));
  }

  size_t Group(size_t i) const { return 2 * (i / 6) + i % 6 / 3; }

  const ChannelGroups groups_{3, nullptr};
  const Tensor ranges_ = Positive({4, 2});
};

TEST_P(PowersTest, UnitsFollowTheExponent) {
  Tensor x = Random({4, 6});
  x.data()[5] = 0;
  for (const float a : {0.3f, 0.5f, 1.0f}) {
    Check(
        "units", {Tensor::FromValues({1}, {a})},
        [&](const Inputs& in, ExecutionContext& ctx) {
          return ops::ToPowerUnits(x, Ones(in[0].data()[0]), in[0], kTop,
                                   groups_, ctx);
        },
        [&](const std::vector<Doubles>& in) {
          Doubles u = ToDoubles(x);
          for (size_t i = 0; i < u.size(); ++i) {
            const double share = std::abs(u[i]) / ranges_.data()[Group(i)];
            u[i] = std::copysign(kTop * std::pow(share, in[0][0]), u[i]);
          }
          return u;
        });
  }
}

// Codes held fixed: the units do not depend on the exponent here.
TEST_P(PowersTest, ValuesOfCodesFollowTheExponent) {
  const Tensor u = Random({4, 6}, 10);
  for (const float a : {0.3f, 0.5f, 1.0f}) {
    Check(
        "values", {Tensor::FromValues({1}, {a})},
        [&](const Inputs& in, ExecutionContext& ctx) {
          return ops::FromPowerUnits(u, ranges_, Values(in[0].data()[0]), in[0],
                                     groups_, ctx);
        },
        [&](const std::vector<Doubles>& in) {
          Doubles y = ToDoubles(u);
          for (size_t i = 0; i < y.size(); ++i) {
            const double q = std::clamp<double>(std::nearbyint(y[i]), -8, 7);
            y[i] = std::copysign(ranges_.data()[Group(i)] *
                                     std::pow(std::abs(q) / kTop, 1 / in[0][0]),
                                 q);
          }
          return y;
        });
  }
}

TEST_P(PowersTest, UnitsPassTheSlopeOfTheValuesButNotAtZero) {
  const double a = 0.5;
  Tensor u = Random({4, 6}, 10);
  u.data()[0] = 0;
  u.data()[1] = -0.3f;
  u.data()[2] = 7.4f;
  u.data()[3] = 7.6f;  // clipped
  u.data()[4] = -8.4f;
  u.data()[5] = -8.6f;  // clipped
  const Tensor seed = Random({4, 6});
  const auto du = GradientsOf({u}, seed, [&](const Inputs& in) {
    return ops::FromPowerUnits(in[0], ranges_, Values(a),
                               Tensor::FromValues({1}, {0.5f}), groups_, ctx_);
  });
  for (int64_t i = 0; i < u.size(); ++i) {
    const double units = u.data()[i];
    const double range = ranges_.data()[Group(static_cast<size_t>(i))];
    // d/du R (u / top)^2
    const double slope =
        2 * range * std::max(std::abs(units), 0.5) / (kTop * kTop);
    const bool clipped = units > 7.5 || units < -8.5;
    const double expected = clipped ? 0 : seed.data()[i] * slope;
    EXPECT_NEAR(du[0].data()[i], expected, 1e-6) << units;
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, PowersTest, testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "cpu" : "reference";
                         });

// --- Choice ----------------------------------------------------------------

// Two tables for three rows; neither in order, the first with an entry twice.
class ChoiceTest : public EstimatorsTest {
 protected:
  static constexpr int64_t kCols = 5;
  static constexpr int64_t kEntries = 4;

  Tensor Select(const Tensor& logits, const Tensor& table,
                ops::ChoiceRule rule) {
    return ops::SelectEntries(logits, table, table_of_, kCols, rule, ctx_);
  }

  const std::shared_ptr<const std::vector<int32_t>> table_of_ =
      std::make_shared<const std::vector<int32_t>>(
          std::vector<int32_t>{1, 0, 1});
  const Tensor table_ =
      Tensor::FromValues({2, 4}, {0.5f, -1, 2, -1, 3, 0.25f, 1, -2});
  const Tensor logits_ = Random({3 * kCols, kEntries});
};

TEST_P(ChoiceTest, TheFirstOfTheGreatestIsTakenAndEntriesFollowTheChainRule) {
  const float nan = std::nanf("");
  const std::vector<float> logits = {1, 3, 3, 2};
  EXPECT_EQ(ops::FirstGreatest(logits.data(), 4), 1);
  const std::vector<float> nans = {nan, nan, nan};
  EXPECT_EQ(ops::FirstGreatest(nans.data(), 3), 0);
  for (const auto rule :
       {ops::ChoiceRule::kProximal, ops::ChoiceRule::kSoftmax}) {
    Check(
        "entries", {table_},
        [&](const Inputs& in, ExecutionContext&) {
          return Select(logits_, in[0], rule);
        },
        [&](const std::vector<Doubles>& in) {
          Doubles y;
          for (int64_t i = 0; i < 3 * kCols; ++i) {
            const int64_t t = (*table_of_)[static_cast<size_t>(i / kCols)];
            const int64_t k = ops::FirstGreatest(logits_.row(i), kEntries);
            y.push_back(in[0][static_cast<size_t>(t * kEntries + k)]);
          }
          return y;
        });
  }
}

TEST_P(ChoiceTest, ProximalGradientsAreThoseOfTheNextEntries) {
  EXPECT_EQ(ops::MeanGap(table_.row(0), kEntries), 1);
  const Tensor seed = Random({3, kCols});
  const auto d = GradientsOf({logits_}, seed, [&](const Inputs& in) {
    return Select(in[0], table_, ops::ChoiceRule::kProximal);
  });
  // Of every entry the next below and the next above, of equals the first.
  const int below[2][4] = {{1, -1, 0, -1}, {2, 3, 1, -1}};
  const int above[2][4] = {{2, 0, -1, 0}, {-1, 2, 0, 1}};
  for (int64_t i = 0; i < 3 * kCols; ++i) {
    const int64_t t = (*table_of_)[static_cast<size_t>(i / kCols)];
    const int64_t taken = ops::FirstGreatest(logits_.row(i), kEntries);
    const float h = ops::MeanGap(table_.row(t), kEntries);
    for (int64_t k = 0; k < kEntries; ++k) {
      float expected = 0;
      const float step = table_.row(t)[k] - table_.row(t)[taken];
      if (k == below[t][taken] || k == above[t][taken]) {
        expected = seed.data()[i] * (step > 0 ? 1.0f : -1.0f) * h * h /
                   (std::abs(step) + h);
      }
      EXPECT_NEAR(d[0].row(i)[k], expected, 1e-6) << i << " " << k;
    }
  }
}

// Those of sum p C, the softmax of the logits times the entries.
TEST_P(ChoiceTest, SoftmaxGradientsAreTheChainRule) {
  const Tensor seed = Random({3, kCols});
  const auto d = GradientsOf({logits_}, seed, [&](const Inputs& in) {
    return Select(in[0], table_, ops::ChoiceRule::kSoftmax);
  });
  for (int64_t i = 0; i < 3 * kCols; ++i) {
    const int64_t t = (*table_of_)[static_cast<size_t>(i / kCols)];
    const auto mean = [&](int64_t moved, double by) {
      double sum = 0, total = 0;
      for (int64_t k = 0; k < kEntries; ++k) {
        const double p = std::exp(logits_.row(i)[k] + (k == moved ? by : 0.0));
        sum += p;
        total += p * table_.row(t)[k];
      }
      return total / sum;
    };
    for (int64_t k = 0; k < kEntries; ++k) {
      const double slope = (mean(k, 1e-5) - mean(k, -1e-5)) / 2e-5;
      EXPECT_NEAR(d[0].row(i)[k], seed.data()[i] * slope, 1e-5);
    }
  }
}

TEST_P(ChoiceTest, ATableOfOneValueHasNoNeighbours) {
  const std::vector<float> equal(4, 0.5f);
  EXPECT_EQ(ops::MeanGap(equal.data(), 4), 1);
  const Tensor table = Tensor::FromValues({2, 4}, std::vector<float>(8, 2));
  const auto d =
      GradientsOf({logits_}, Random({3, kCols}), [&](const Inputs& in) {
        return Select(in[0], table, ops::ChoiceRule::kProximal);
      });
  for (const float v : d[0].values()) EXPECT_EQ(v, 0);
}

INSTANTIATE_TEST_SUITE_P(Devices, ChoiceTest, testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "cpu" : "reference";
                         });

INSTANTIATE_TEST_SUITE_P(Devices, EstimatorsTest, testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "cpu" : "reference";
                         });

}  // namespace
}  // namespace quantd
