#include "quantizers/stages/low_rank.h"

#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "gmock/gmock.h"
#include "proto/field_rules.h"
#include "quantizers/layer_error.h"
#include "quantizers/stages/rtn.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;

Tensor Noise(int64_t rows, int64_t cols, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> normal;
  Tensor t = Tensor::Uninitialized({rows, cols});
  for (float& v : t.values()) v = static_cast<float>(0.05 * normal(engine));
  return t;
}

class LowRankTest : public testing::Test {
 protected:
  // Rounds `weight` to 3 bits, then compensates.
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Run(
      const Tensor& weight, const std::vector<std::string>& assignments) {
    v1::Stage rtn;
    rtn.mutable_rtn();
    FillDefaults(&rtn);
    RETURN_IF_ERROR(ApplyAssignment(&rtn, "bits=3"));
    RETURN_IF_ERROR(ApplyAssignment(&rtn, "group_size=-1"));
    v1::Stage options;
    options.mutable_low_rank();
    FillDefaults(&options);
    for (const std::string& assignment : assignments) {
      RETURN_IF_ERROR(ApplyAssignment(&options, assignment));
    }
    BlockWork work;
    work.layers.resize(1);
    work.layers[0].name = "layer";
    work.layers[0].weight = weight;
    RETURN_IF_ERROR(NewRtnStage(rtn.rtn())->ProcessBlock(work, ctx_));
    const auto base = work.layers[0].compressed;
    const auto stage = NewLowRankStage(options.low_rank());
    RETURN_IF_ERROR(stage->ProcessBlock(work, ctx_));
    const auto compressed = work.layers[0].compressed;
    EXPECT_EQ(base->stored_bits() +
                  8 * stage->Cost({"layer", weight.rows(), weight.cols()})
                          .added_bytes,
              compressed->stored_bits());
    base_error_ = RelativeWeightError(weight, base->Decode(ctx_));
    return compressed;
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
  double base_error_ = 0;
};

TEST_F(LowRankTest, ErrorFallsWithEveryRankToThatOfTheFactors) {
  const Tensor w = Noise(48, 32, 1);
  for (const char* factors : {"factors=F16", "factors=INT8"}) {
    double previous = 1e9;
    for (int rank = 1; rank <= 32; ++rank) {
      ASSERT_OK_AND_ASSIGN(
          const auto layer,
          Run(w, {"rank=" + std::to_string(rank), "rank_divisor=1", factors}));
      const double error = RelativeWeightError(w, layer->Decode(ctx_));
      EXPECT_LT(error, base_error_);
      EXPECT_LT(error, previous) << rank << " " << factors;
      previous = error;
    }
    // Full rank restores W up to the rounding of the factors.
    EXPECT_LT(previous, factors[8] == 'F' ? 1e-7 : 1e-4) << factors;
  }
}

TEST_F(LowRankTest, FactorsReachTheBoundOfTheirRank) {
  const Tensor w = Noise(40, 64, 2);
  ASSERT_OK_AND_ASSIGN(const ThinSvd svd, LeadingSvd(w, 40, {}, ctx_));
  for (int64_t m : {1, 8, 20}) {
    ASSERT_OK_AND_ASSIGN(const ThinSvd leading, LeadingSvd(w, m, {}, ctx_));
    const LowRankFactors factors = FactorsOf(leading, 40, 64, FactorType::kF16);
    double left_out = 0;
    for (int64_t i = m; i < 40; ++i) {
      left_out += svd.singular_values[i] * svd.singular_values[i];
    }
    double error = 0;
    for (int64_t r = 0; r < 40; ++r) {
      for (int64_t c = 0; c < 64; ++c) {
        double d = w.row(r)[c];
        for (int64_t i = 0; i < m; ++i) {
          d -=
              static_cast<double>(factors.a[r * m + i]) * factors.b[i * 64 + c];
        }
        error += d * d;
      }
    }
    // Binary16 rounds relatively to 2^-11.
    EXPECT_NEAR(error, left_out, 1e-5 * left_out) << m;
  }
}

TEST_F(LowRankTest, FactorsAreBalanced) {
  ASSERT_OK_AND_ASSIGN(const ThinSvd svd,
                       LeadingSvd(Noise(40, 64, 3), 4, {}, ctx_));
  const LowRankFactors factors = FactorsOf(svd, 40, 64, FactorType::kF16);
  for (int64_t i = 0; i < 4; ++i) {
    double a = 0;
    double b = 0;
    for (int64_t r = 0; r < 40; ++r) {
      a += std::pow(factors.a[r * 4 + i], 2);
    }
    for (int64_t c = 0; c < 64; ++c) {
      b += std::pow(factors.b[i * 64 + c], 2);
    }
    EXPECT_NEAR(a, svd.singular_values[i], 1e-3 * a);
    EXPECT_NEAR(b, svd.singular_values[i], 1e-3 * b);
  }
}

TEST_F(LowRankTest, RankIsBoundedByTheSmallerSide) {
  const Tensor w = Noise(32, 96, 4);
  ASSERT_OK_AND_ASSIGN(const auto two, Run(w, {"rank=8"}));  // 32 / 16
  ASSERT_OK_AND_ASSIGN(const auto eight, Run(w, {"rank=8", "rank_divisor=4"}));
  EXPECT_EQ(eight->stored_bits() - two->stored_bits(), 6 * (32 + 96) * 16u);
  ASSERT_OK_AND_ASSIGN(const auto one, Run(Noise(4, 6, 5), {"rank=8"}));
  EXPECT_EQ(one->layout(), "low-rank-sum.v1");
}

TEST_F(LowRankTest, NothingLeftOverIsNoTrouble) {
  const Tensor zero = Tensor::Zeros({16, 16});
  for (const char* factors : {"factors=F16", "factors=INT8"}) {
    ASSERT_OK_AND_ASSIGN(const auto layer, Run(zero, {factors}));
    EXPECT_EQ(RelativeWeightError(zero, layer->Decode(ctx_)), 0);
  }
}

}  // namespace
}  // namespace quantd
