// The discrete step of PV-Tuning: its limits, and the descent of a small
// quadratic.
#include "quantizers/code_step.h"

#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "models/layouts/row_codebook.h"
#include "models/layouts/vector_codebook.h"
#include "models/tunable_linear.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

class CodeStepTest : public testing::Test {
 protected:
  // Four values a row, codes at random.
  std::unique_ptr<TunableLinear> Layer(int64_t rows, int64_t cols) {
    std::mt19937_64 engine(7);
    RowCodebookWeights w;
    w.rows = rows;
    w.cols = cols;
    w.bits = 2;
    for (int64_t i = 0; i < rows * cols; ++i) {
      w.codes.push_back(static_cast<uint8_t>(engine() % 4));
    }
    for (int64_t r = 0; r < rows; ++r) {
      for (float v : {-1.0f, -0.25f, 0.5f, 1.0f}) w.codebook.push_back(v);
    }
    return (*NewRowCodebook(std::move(w)))->Tunable();
  }

  // Vectors of two rows, each a sum of one entry from every codebook.
  std::unique_ptr<TunableLinear> Vectors(int64_t rows, int64_t cols,
                                         const std::vector<int>& index_bits) {
    std::mt19937_64 engine(8);
    VectorCodebookWeights w;
    w.rows = rows;
    w.cols = cols;
    w.groups.resize(1);
    w.groups[0].vector_rows = 2;
    for (const int bits : index_bits) {
      IndexedCodebook book;
      book.index_bits = bits;
      for (int i = 0; i < 2 << bits; ++i) {
        book.entries.push_back(
            static_cast<float>(static_cast<int>(engine() % 255) - 127) / 64);
      }
      for (int64_t i = 0; i < rows / 2 * cols; ++i) {
        book.codes.push_back(
            static_cast<uint16_t>(engine() % (uint64_t{1} << bits)));
      }
      w.groups[0].codebooks.push_back(std::move(book));
    }
    return (*NewVectorCodebook(std::move(w)))->Tunable();
  }

  static double Norm(const Tensor& t) {
    double sum = 0;
    for (float v : t.values()) sum += double{v} * v;
    return std::sqrt(sum);
  }

  const std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(CodeStepTest, ChangesNoMoreThanItsShareAndTrust) {
  const auto tunable = Layer(20, 30);
  const std::vector<Tensor> p = tunable->Parameters();
  const Tensor weight = tunable->Weight(p, ctx_);
  const Tensor gradient = test::RandomMatrix(20, 30, 3);
  for (const double trust : {1e-6, 0.05, 0.2, 1000.0}) {
    for (const double share : {0.002, 0.01, 0.3, 1.0}) {
      auto choice = tunable->Codes(p, ctx_);
      CodeStep step({.share = share, .trust_ratio = trust});
      // Long enough that many codes would change.
      const auto outcome = step.Step(10.0, gradient, weight, *choice, ctx_);
      EXPECT_LE(outcome.changed, static_cast<int64_t>(std::ceil(share * 600)));
      EXPECT_GE(outcome.changed, 1);
      if (outcome.changed > 1) {
        EXPECT_LE(outcome.relative_change, trust * (1 + 1e-9));
      }
      ASSERT_OK_AND_ASSIGN(const auto finished, choice->Finish());
      Tensor moved = finished->Decode(ctx_).Clone();
      int64_t changed = 0;
      for (int64_t i = 0; i < moved.size(); ++i) {
        changed += moved.data()[i] != weight.data()[i];
        moved.data()[i] -= weight.data()[i];
      }
      EXPECT_EQ(changed, outcome.changed);
      EXPECT_NEAR(Norm(moved) / Norm(weight), outcome.relative_change, 1e-6);
    }
  }
}

// Nearest to what a unit is to stand for, and never farther from it than the
// codes it had: single values, one codebook, two whose pairs are all tried, and
// more, which are searched by turns.
TEST_F(CodeStepTest, NoUnitIsFartherFromItsTargetThanItWas) {
  std::vector<std::unique_ptr<TunableLinear>> layers;
  layers.push_back(Layer(20, 30));
  for (const std::vector<int>& index_bits :
       std::vector<std::vector<int>>{{6}, {4, 5}, {9, 9}, {3, 4, 3}}) {
    layers.push_back(Vectors(20, 30, index_bits));
  }
  for (const auto& tunable : layers) {
    const std::vector<Tensor> p = tunable->Parameters();
    const Tensor weight = tunable->Weight(p, ctx_);
    const Tensor gradient = test::RandomMatrix(20, 30, 5);
    for (const double rate : {0.05, 0.5, 5.0}) {
      // B after one step: with v = (1 - beta) G^2 every weight moves as far,
      // against its gradient.
      Tensor target = weight.Clone();
      const double length =
          rate * std::sqrt(1 - 0.95) * Norm(weight) / std::sqrt(600.0);
      for (int64_t i = 0; i < target.size(); ++i) {
        target.data()[i] -= static_cast<float>(
            std::copysign(length, double{gradient.data()[i]}));
      }
      auto choice = tunable->Codes(p, ctx_);
      CodeStep step({.share = 1, .trust_ratio = 1000});
      const auto outcome = step.Step(rate, gradient, weight, *choice, ctx_);
      ASSERT_OK_AND_ASSIGN(const auto finished, choice->Finish());
      const Tensor moved = finished->Decode(ctx_);
      CodeChoice::PlaceList places;
      int64_t nearer = 0;
      for (int64_t u = 0; u < choice->units(); ++u) {
        choice->Places(u, &places);
        double before = 0, after = 0;
        for (const int64_t at : places) {
          before += std::pow(double{weight.data()[at]} - target.data()[at], 2);
          after += std::pow(double{moved.data()[at]} - target.data()[at], 2);
        }
        EXPECT_LE(after, before * (1 + 1e-5)) << u << " " << rate;
        nearer += after < before * (1 - 1e-5);
      }
      EXPECT_LE(nearer, outcome.changed);
      if (rate > 1) {
        EXPECT_GT(nearer, choice->units() / 4);
      }
    }
  }
}

TEST_F(CodeStepTest, AStepTooShortToReachAnotherCodeIsRemembered) {
  const auto tunable = Layer(4, 8);
  const std::vector<Tensor> p = tunable->Parameters();
  const Tensor weight = tunable->Weight(p, ctx_);
  Tensor gradient = Tensor::Zeros({4, 8});
  gradient.data()[5] = weight.data()[5] > 0 ? 1.0f : -1.0f;
  const auto steps_until_change = [&](double decay) {
    CodeStep step({.share = 1, .trust_ratio = 10, .decay = decay});
    for (int i = 1; i <= 60; ++i) {
      auto choice = tunable->Codes(p, ctx_);
      if (step.Step(0.05, gradient, weight, *choice, ctx_).changed > 0) {
        return i;
      }
    }
    return 0;
  };
  const int remembered = steps_until_change(0);
  EXPECT_GT(remembered, 1);
  // A target that starts at the weight every time never gets there.
  EXPECT_EQ(steps_until_change(1), 0);
}

TEST_F(CodeStepTest, NoGradientChangesNothing) {
  const auto tunable = Layer(4, 8);
  const std::vector<Tensor> p = tunable->Parameters();
  auto choice = tunable->Codes(p, ctx_);
  CodeStep step({.share = 1, .trust_ratio = 10});
  EXPECT_EQ(step.Step(0.5, Tensor::Zeros({4, 8}), tunable->Weight(p, ctx_),
                      *choice, ctx_)
                .changed,
            0);
}

// Exact steps of either kind never raise |w - goal|^2: values become the means
// of what has them, codes the nearest values (arXiv:2405.14852, section 3.1).
TEST_F(CodeStepTest, ExactStepsInTurnsNeverRaiseAQuadratic) {
  auto tunable = Layer(1, 6);
  const Tensor goal = test::RandomMatrix(1, 6, 11);
  std::vector<Tensor> p = tunable->Parameters();
  const auto loss = [&] {
    const Tensor w = tunable->Weight(p, ctx_);
    double sum = 0;
    for (int64_t i = 0; i < 6; ++i) {
      sum += std::pow(double{w.data()[i]} - goal.data()[i], 2);
    }
    return sum;
  };
  double last = loss();
  for (int turn = 0; turn < 6; ++turn) {
    auto choice = tunable->Codes(p, ctx_);
    std::vector<double> sums(4, 0), counts(4, 0);
    for (int64_t u = 0; u < 6; ++u) {
      const size_t code = choice->CodesOf(u)[0];
      sums[code] += goal.data()[u];
      counts[code] += 1;
    }
    for (size_t k = 0; k < 4; ++k) {
      if (counts[k] > 0) {
        p[0].data()[k] = static_cast<float>(sums[k] / counts[k]);
      }
    }
    EXPECT_LE(loss(), last + 1e-6);
    last = loss();
    choice = tunable->Codes(p, ctx_);
    for (int64_t u = 0; u < 6; ++u) {
      choice->Choose(u, choice->Nearest(u, {&goal.data()[u], 1}).codes);
    }
    ASSERT_OK_AND_ASSIGN(const auto finished, choice->Finish());
    tunable = finished->Tunable();
    EXPECT_LE(loss(), last + 1e-6);
    last = loss();
  }
}

}  // namespace
}  // namespace quantd
