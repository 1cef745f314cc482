#include "tensor/ops.h"

#include <cmath>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;

class OpsTest : public testing::Test {
 protected:
  std::unique_ptr<Device> device_ = NewCpuDevice(1);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(OpsTest, LinearProductMultipliesByTheTransposedWeight) {
  const Tensor x = Tensor::FromValues({1, 2}, {1, 2});
  const Tensor w = Tensor::FromValues({3, 2}, {1, 0, 0, 1, 1, 1});
  EXPECT_THAT(ops::LinearProduct(x, w, ctx_).values(), ElementsAre(1, 2, 3));
}

TEST_F(OpsTest, OperationsLeaveTheirInputsAlone) {
  const Tensor a = Tensor::FromValues({1, 2}, {1, 2});
  const Tensor b = Tensor::FromValues({1, 2}, {10, 20});
  const Tensor bias = Tensor::FromValues({2}, {5, 5});
  EXPECT_THAT(ops::Add(a, b, ctx_).values(), ElementsAre(11, 22));
  EXPECT_THAT(ops::AddBias(a, bias, ctx_).values(), ElementsAre(6, 7));
  const Tensor cos = Tensor::FromValues({1, 1}, {0});
  const Tensor sin = Tensor::FromValues({1, 1}, {1});
  EXPECT_THAT(ops::Rotary(a, {2, 2, false}, SequenceBatch::Uniform(1, 1), cos,
                          sin, ctx_)
                  .values(),
              ElementsAre(-2, 1));
  EXPECT_THAT(a.values(), ElementsAre(1, 2));
}

TEST_F(OpsTest, RmsNormDividesByTheRootMeanSquare) {
  const Tensor x = Tensor::FromValues({1, 2}, {3, 4});
  const Tensor w = Tensor::FromValues({2}, {1, 2});
  const float rms = std::sqrt(12.5f);
  EXPECT_THAT(
      ops::RmsNorm(x, w, 0, ctx_).values(),
      ElementsAre(FloatNear(3 / rms, 1e-6f), FloatNear(8 / rms, 1e-6f)));
}

TEST_F(OpsTest, AttentionOfEqualScoresAveragesWhatIsVisible) {
  const Tensor q = Tensor::Zeros({3, 2});
  const Tensor v = Tensor::FromValues({3, 2}, {3, 0, 0, 3, 3, 3});
  ops::AttentionOptions options;
  options.head_dim = 2;
  const auto three = SequenceBatch::Uniform(1, 3);
  EXPECT_THAT(
      ops::Attention(q, q, v, options, three, ctx_).values(),
      ElementsAre(3, 0, 1.5f, 1.5f, FloatNear(2, 1e-6f), FloatNear(2, 1e-6f)));
  // Two sequences, of one and two tokens.
  EXPECT_THAT(
      ops::Attention(q, q, v, options, SequenceBatch::Ragged({1, 2}), ctx_)
          .values(),
      ElementsAre(3, 0, 0, 3, 1.5f, 3));
}

TEST(SequenceBatchTest, KnowsPositionsAndLengths) {
  const auto batch = SequenceBatch::Continue({5, 0}, {1, 3});
  EXPECT_EQ(batch.rows(), 4);
  EXPECT_EQ(batch.longest(), 6);
  EXPECT_THAT(batch.positions(), ElementsAre(5, 0, 1, 2));
  EXPECT_EQ(batch.sequences()[1].begin, 1);
}

TEST_F(OpsTest, ActivateMulGatesTheOtherOperand) {
  const Tensor gate = Tensor::FromValues({2}, {0, 1});
  const Tensor up = Tensor::FromValues({2}, {7, 2});
  EXPECT_THAT(ops::ActivateMul(Activation::kSilu, gate, up, ctx_).values(),
              ElementsAre(0, FloatNear(2 / (1 + std::exp(-1.0f)), 1e-6f)));
}

}  // namespace
}  // namespace quantd
