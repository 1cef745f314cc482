#include "tensor/gradient_tape.h"

#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tensor/ops.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::StatusIs;
using ::testing::ElementsAre;

class GradientTapeTest : public testing::Test {
 protected:
  std::unique_ptr<Device> device_ = NewCpuDevice(1);
  ExecutionContext ctx_{device_.get()};
  const Tensor one_ = Tensor::FromValues({2}, {1, 1});
};

// y = x^2 + 3 x and z = y x: every use of a tensor adds to its gradient.
TEST_F(GradientTapeTest, ContributionsAddUp) {
  GradientTape tape(ctx_);
  const Tensor x = tape.Watch(Tensor::FromValues({2}, {2, -1}));
  const Tensor y = ops::Add(ops::Multiply(x, x, ctx_), ops::Scale(x, 3), ctx_);
  const Tensor z = ops::Multiply(y, x, ctx_);
  ASSERT_THAT(tape.Backward({{z, one_}, {y, one_}}), IsOk());
  // 3 x^2 + 6 x + 2 x + 3
  EXPECT_THAT(tape.Gradient(x).values(), ElementsAre(31, -2));
}

// A gradient that two inputs share is not changed behind the back of one.
TEST_F(GradientTapeTest, SharedGradientsAreNotOverwritten) {
  GradientTape tape(ctx_);
  const Tensor a = tape.Watch(Tensor::FromValues({2}, {1, 2}));
  const Tensor b = tape.Watch(Tensor::FromValues({2}, {3, 4}));
  const Tensor seed = Tensor::FromValues({2}, {1, 10});
  const Tensor sum = ops::Add(a, b, ctx_);
  const Tensor again = ops::Add(sum, a, ctx_);
  ASSERT_THAT(tape.Backward({{again, seed}}), IsOk());
  EXPECT_THAT(tape.Gradient(a).values(), ElementsAre(2, 20));
  EXPECT_THAT(tape.Gradient(b).values(), ElementsAre(1, 10));
  EXPECT_THAT(seed.values(), ElementsAre(1, 10));
}

TEST_F(GradientTapeTest, WhatNothingDependsOnHasNoGradient) {
  GradientTape tape(ctx_);
  const Tensor x = tape.Watch(Tensor::FromValues({2}, {2, -1}));
  const Tensor unused = tape.Watch(Tensor::FromValues({2}, {5, 6}));
  const Tensor dead_end = ops::Scale(unused, 2);
  ASSERT_THAT(tape.Backward({{ops::Scale(x, 2), one_}}), IsOk());
  EXPECT_THAT(tape.Gradient(unused).values(), ElementsAre(0, 0));
  EXPECT_THAT(tape.Gradient(x).values(), ElementsAre(2, 2));
}

TEST_F(GradientTapeTest, UntrackedTensorsStopGradients) {
  GradientTape tape(ctx_);
  const Tensor x = tape.Watch(Tensor::FromValues({2}, {2, -1}));
  const Tensor y = ops::Multiply(x, x.Untracked(), ctx_);
  ASSERT_THAT(tape.Backward({{y, one_}}), IsOk());
  EXPECT_THAT(tape.Gradient(x).values(), ElementsAre(2, -1));
  EXPECT_EQ(x.Clone().tape(), nullptr);
  EXPECT_EQ(x.Rows(0, 1).tape(), nullptr);
}

// What a record needs no more is let go while the tape still runs.
TEST_F(GradientTapeTest, OperandsAreReleasedAsTheyAreUsed) {
  GradientTape tape(ctx_);
  const Tensor x = tape.Watch(Tensor::FromValues({2}, {2, -1}));
  auto kept = std::make_shared<int>(0);
  const std::weak_ptr<int> watcher = kept;
  const Tensor y = tape.Record(Tensor::FromValues({2}, {0, 0}),
                               [kept = std::move(kept)](const Tensor&) {});
  EXPECT_FALSE(watcher.expired());
  ASSERT_THAT(tape.Backward({{y, one_}}), IsOk());
  EXPECT_TRUE(watcher.expired());
}

TEST_F(GradientTapeTest, CancellationEndsIt) {
  GradientTape tape(ctx_);
  const Tensor x = tape.Watch(Tensor::FromValues({2}, {2, -1}));
  const Tensor y = ops::Scale(x, 2);
  ctx_.RequestCancel();
  EXPECT_THAT(tape.Backward({{y, one_}}),
              StatusIs(absl::StatusCode::kCancelled, testing::_));
}

}  // namespace
}  // namespace quantd
