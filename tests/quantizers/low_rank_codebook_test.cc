// LR2VQ: codebooks of low rank, and learning their factors.
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "models/layouts/vector_codebook.h"
#include "quantizers/factored_codebook.h"
#include "quantizers/low_rank_kmeans.h"
#include "tensor/gradient_tape.h"
#include "tests/models/tunable_checks.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::RandomMatrix;
using ::quantd::test::StatusIs;

constexpr int64_t kCount = 300, kDimension = 4;

class LowRankCodebookTest : public testing::Test {
 protected:
  VectorKMeansProblem Problem() const {
    VectorKMeansProblem problem;
    problem.count = kCount;
    problem.dimension = kDimension;
    problem.vectors = vectors_.data();
    return problem;
  }

  double ErrorOf(const VectorKMeans& fitted) const {
    double sum = 0;
    for (int64_t i = 0; i < kCount; ++i) {
      for (int64_t t = 0; t < kDimension; ++t) {
        const size_t code =
            static_cast<size_t>(fitted.assignment[static_cast<size_t>(i)]);
        sum += std::pow(
            double{vectors_.row(i)[t]} -
                fitted.centroids[code * kDimension + static_cast<size_t>(t)],
            2);
      }
    }
    return sum;
  }

  // A layer of vectors of four rows, 16 entries.
  std::shared_ptr<const CompressedLinear> Layer(int64_t rank) {
    VectorKMeansOptions options;
    options.k = 16;
    const VectorKMeans fitted =
        FitLowRankKMeans(Problem(), rank, options, ctx_)->fitted;
    VectorCodebookWeights w;
    w.rows = 12;
    w.cols = 100;
    w.groups.resize(1);
    w.groups[0].vector_rows = kDimension;
    IndexedCodebook book;
    book.index_bits = 4;
    book.centroid_bits = 8;
    book.entries = fitted.centroids;
    book.scale = RoundToScaledInt8(absl::MakeSpan(book.entries));
    for (int32_t code : fitted.assignment) {
      book.codes.push_back(static_cast<uint16_t>(code));
    }
    w.groups[0].codebooks = {book};
    return *NewVectorCodebook(std::move(w));
  }

  const Tensor vectors_ = RandomMatrix(kCount, kDimension, 5);
  const std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(LowRankCodebookTest, ErrorsOfProjectionAndClusteringAddUp) {
  VectorKMeansOptions options;
  options.k = 16;
  double last_projection = INFINITY;
  for (int64_t rank = 1; rank <= kDimension; ++rank) {
    ASSERT_OK_AND_ASSIGN(const LowRankKMeans low,
                         FitLowRankKMeans(Problem(), rank, options, ctx_));
    const double error = ErrorOf(low.fitted);
    EXPECT_NEAR(error, low.projection_error + low.fitted.objective,
                1e-4 * error)
        << rank;
    EXPECT_LT(low.projection_error, last_projection);
    last_projection = low.projection_error;
    // The entry of a vector is the nearest in all dimensions.
    std::vector<int32_t> nearest(kCount);
    AssignToNearest(Problem(), options.k, low.fitted.centroids.data(),
                    nearest.data(), ctx_);
    int64_t others = 0;
    for (size_t i = 0; i < nearest.size(); ++i) {
      others += nearest[i] != low.fitted.assignment[i];
    }
    EXPECT_LE(others, 2) << "but for ties";
  }
  EXPECT_NEAR(last_projection, 0, 1e-3) << "all directions";
}

TEST_F(LowRankCodebookTest, FullRankIsKMeansUpToARotation) {
  VectorKMeansOptions options;
  options.k = 16;
  options.restarts = 8;
  ASSERT_OK_AND_ASSIGN(const VectorKMeans plain,
                       FitVectorKMeans(Problem(), options, ctx_));
  ASSERT_OK_AND_ASSIGN(const LowRankKMeans full,
                       FitLowRankKMeans(Problem(), kDimension, options, ctx_));
  EXPECT_NEAR(full.fitted.objective, plain.objective, 0.05 * plain.objective);
}

TEST_F(LowRankCodebookTest, FactorsBeginWithTheLayerAndKeepItsRank) {
  for (int64_t rank = 1; rank <= 3; ++rank) {
    const auto layer = Layer(rank);
    ASSERT_OK_AND_ASSIGN(const auto factored,
                         NewFactoredCodebook(*layer, Tensor(), {}));
    std::vector<Tensor> p = factored->Parameters();
    ASSERT_EQ(p.size(), 2u);
    EXPECT_EQ(p[0].shape(), (Shape{16, rank}));
    EXPECT_EQ(p[1].shape(), (Shape{kDimension, rank}));
    const Tensor weight = factored->Weight(p, ctx_);
    const Tensor decoded = layer->Decode(ctx_);
    for (int64_t i = 0; i < weight.size(); ++i) {
      // What 8 bits added to the rank is gone.
      ASSERT_NEAR(weight.data()[i], decoded.data()[i], 0.03);
    }
    for (float& v : p[0].values()) v *= 1.25f;
    ASSERT_OK_AND_ASSIGN(const auto frozen, factored->Freeze(p, ctx_));
    ASSERT_OK_AND_ASSIGN(const auto again,
                         NewFactoredCodebook(*frozen, Tensor(), {}));
    EXPECT_EQ(again->Parameters()[0].cols(), rank);
  }
}

TEST_F(LowRankCodebookTest, GradientsOfFactorsAreDifferences) {
  const auto layer = Layer(2);
  ASSERT_OK_AND_ASSIGN(const auto factored,
                       NewFactoredCodebook(*layer, Tensor(), {}));
  std::vector<Tensor> p = factored->Parameters();
  const Tensor seed = RandomMatrix(12, 100, 9);
  const auto value = [&] {
    const Tensor w = factored->Weight(p, ctx_);
    double sum = 0;
    for (int64_t i = 0; i < w.size(); ++i) {
      sum += double{w.data()[i]} * seed.data()[i];
    }
    return sum;
  };
  GradientTape tape(ctx_);
  std::vector<Tensor> watched;
  for (const Tensor& t : p) watched.push_back(tape.Watch(t));
  ASSERT_THAT(tape.Backward({{factored->Weight(watched, ctx_), seed}}), IsOk());
  for (size_t i = 0; i < p.size(); ++i) {
    const Tensor gradient = tape.Gradient(watched[i]);
    for (int64_t e = 0; e < p[i].size(); e += 3) {
      const float was = p[i].data()[e];
      constexpr float kStep = 0.01f;  // linear in each
      p[i].data()[e] = was + kStep;
      const double above = value();
      p[i].data()[e] = was - kStep;
      const double below = value();
      p[i].data()[e] = was;
      EXPECT_NEAR(gradient.data()[e], (above - below) / (2 * kStep),
                  1e-3 * (1 + std::abs(gradient.data()[e])));
    }
  }
}

TEST_F(LowRankCodebookTest, NeedsOneCodebook) {
  VectorCodebookWeights w;
  w.rows = 4;
  w.cols = 2;
  w.groups.resize(1);
  w.groups[0].vector_rows = 4;
  IndexedCodebook book;
  book.index_bits = 1;
  book.entries.assign(8, 0.5f);
  book.codes.assign(2, 0);
  w.groups[0].codebooks = {book, book};
  ASSERT_OK_AND_ASSIGN(const auto layer, NewVectorCodebook(std::move(w)));
  EXPECT_THAT(NewFactoredCodebook(*layer, Tensor(), {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::HasSubstr("one codebook")));
}

}  // namespace
}  // namespace quantd
