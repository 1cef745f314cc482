// Every operation of the CPU device against the reference device, over shapes
// around vector width and piece size, with padding that must not be touched.
#include "kernels/device.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/cpu/gemm.h"

namespace quantd {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<float> Random(int64_t count, uint64_t seed, float spread = 1.0f) {
  std::mt19937_64 engine(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& v : values) {
    v = spread *
        static_cast<float>(static_cast<double>(engine() >> 11) * 0x1p-52 - 1.0);
  }
  return values;
}

void ExpectNear(const std::vector<float>& got, const std::vector<float>& want,
                double bound) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(want[i])) {
      ASSERT_TRUE(std::isnan(got[i])) << "padding changed at " << i;
      continue;
    }
    ASSERT_NEAR(got[i], want[i], bound * (1 + std::abs(want[i]))) << i;
  }
}

class DeviceTest : public testing::TestWithParam<int> {
 protected:
  std::unique_ptr<Device> cpu_ = NewCpuDevice(GetParam());
  std::unique_ptr<Device> reference_ = NewReferenceDevice();
};

struct Shape3 {
  int64_t m, n, k;
};

// Extra columns between the rows of each operand.
struct Padding {
  int64_t a = 0, b = 0, c = 0;
};

// Everything but the operands.
GemmArgs ArgsFor(const Shape3& shape, Transpose transpose_a,
                 Transpose transpose_b, const Padding& padding = {}) {
  GemmArgs args;
  args.transpose_a = transpose_a;
  args.transpose_b = transpose_b;
  args.m = shape.m;
  args.n = shape.n;
  args.k = shape.k;
  args.lda = (transpose_a == Transpose::kYes ? shape.m : shape.k) + padding.a;
  args.ldb = (transpose_b == Transpose::kYes ? shape.k : shape.n) + padding.b;
  args.ldc = shape.n + padding.c;
  return args;
}

constexpr Shape3 kShapes[] = {{1, 1, 1},    {3, 5, 7},   {16, 16, 16},
                              {17, 33, 65}, {255, 3, 9}, {256, 8, 31},
                              {257, 9, 33}, {600, 2, 4}};

TEST_P(DeviceTest, GemmMatchesReferenceInEveryOrientation) {
  for (const Shape3& s : kShapes) {
    for (Transpose ta : {Transpose::kNo, Transpose::kYes}) {
      for (Transpose tb : {Transpose::kNo, Transpose::kYes}) {
        for (float beta : {0.0f, 1.0f}) {
          GemmArgs args = ArgsFor(s, ta, tb, {.a = 3, .b = 1, .c = 2});
          args.beta = beta;
          const auto a =
              Random((ta == Transpose::kYes ? s.k : s.m) * args.lda, 1);
          const auto b =
              Random((tb == Transpose::kYes ? s.n : s.k) * args.ldb, 2);
          // With beta 0, c is not read: NaN must vanish.
          std::vector<float> c(static_cast<size_t>(s.m * args.ldc), kNaN);
          if (beta != 0) {
            const auto start = Random(s.m * s.n, 3);
            for (int64_t i = 0; i < s.m; ++i) {
              std::copy_n(start.data() + i * s.n, s.n, c.data() + i * args.ldc);
            }
          }
          std::vector<float> expected = c;
          args.a = a.data();
          args.b = b.data();
          args.c = expected.data();
          reference_->Gemm(args);
          args.c = c.data();
          cpu_->Gemm(args);
          ExpectNear(c, expected, 2e-5);
        }
      }
    }
  }
}

// Each row and each column of a strict product is what it is alone.
TEST_P(DeviceTest, StrictProductsDoNotDependOnTheirCompany) {
  for (const Shape3& s : kShapes) {
    for (Transpose ta : {Transpose::kNo, Transpose::kYes}) {
      for (Transpose tb : {Transpose::kNo, Transpose::kYes}) {
        for (float beta : {0.0f, 1.0f}) {
          GemmArgs args = ArgsFor(s, ta, tb, {.a = 3, .b = 1, .c = 2});
          args.beta = beta;
          args.compute = ComputeType::kF32Strict;
          EXPECT_EQ(cpu_->gemm_name(args), "strict_f32");
          const auto a =
              Random((ta == Transpose::kYes ? s.k : s.m) * args.lda, 1);
          const auto b =
              Random((tb == Transpose::kYes ? s.n : s.k) * args.ldb, 2);
          const auto start = Random(s.m * args.ldc, 3);
          std::vector<float> whole = start;
          args.a = a.data();
          args.b = b.data();
          args.c = whole.data();
          cpu_->Gemm(args);
          std::vector<float> expected = start;
          args.c = expected.data();
          args.compute = ComputeType::kF32;
          reference_->Gemm(args);
          args.compute = ComputeType::kF32Strict;
          ExpectNear(whole, expected, 2e-5);
          for (int64_t i = 0; i < s.m; i += 3) {
            for (int64_t j = 0; j < s.n; j += 2) {
              GemmArgs one = args;
              one.m = one.n = 1;
              one.a += i * (ta == Transpose::kYes ? 1 : args.lda);
              one.b += j * (tb == Transpose::kYes ? args.ldb : 1);
              float c = start[static_cast<size_t>(i * args.ldc + j)];
              one.c = &c;
              cpu_->Gemm(one);
              ASSERT_EQ(c, whole[static_cast<size_t>(i * args.ldc + j)])
                  << i << " " << j;
            }
          }
        }
      }
    }
  }
}

TEST_P(DeviceTest, GramAddsToWhatIsThere) {
  for (int64_t rows : {1, 5, 512, 513}) {
    const int64_t cols = 19;
    const auto x = Random(rows * cols, 4);
    std::vector<double> got(static_cast<size_t>(cols * cols), 1.5);
    std::vector<double> want = got;
    cpu_->AccumulateGram(x.data(), rows, cols, got.data());
    reference_->AccumulateGram(x.data(), rows, cols, want.data());
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_NEAR(got[i], want[i], 1e-4) << rows << " " << i;
    }
  }
}

TEST_P(DeviceTest, RowOperationsMatchReferenceAroundVectorWidth) {
  for (int64_t cols : {1, 7, 8, 15, 16, 17, 31, 33, 64, 100}) {
    const int64_t rows = 5;
    const auto x = Random(rows * cols, 5, 3.0f);
    const auto w = Random(cols, 6);
    std::vector<float> got(x.size());
    std::vector<float> want(x.size());
    cpu_->RmsNorm(x.data(), w.data(), 1e-5f, rows, cols, got.data());
    reference_->RmsNorm(x.data(), w.data(), 1e-5f, rows, cols, want.data());
    ExpectNear(got, want, 1e-6);

    got = x;
    want = x;
    cpu_->AddBias(w.data(), rows, cols, got.data());
    reference_->AddBias(w.data(), rows, cols, want.data());
    EXPECT_EQ(got, want);

    const auto y = Random(rows * cols, 7, 30.0f);
    got = x;
    want = x;
    cpu_->Add(y.data(), rows * cols, got.data());
    reference_->Add(y.data(), rows * cols, want.data());
    EXPECT_EQ(got, want);
  }
}

TEST_P(DeviceTest, NegativeLogLikelihoodMatchesReference) {
  for (int64_t cols : {2, 15, 16, 17, 1000}) {
    const int64_t rows = 4;
    const auto logits = Random(rows * cols, 12, 60.0f);
    std::vector<int32_t> targets;
    for (int64_t r = 0; r < rows; ++r) {
      targets.push_back(static_cast<int32_t>((r * 7) % cols));
    }
    std::vector<double> got(4), want(4);
    cpu_->NegativeLogLikelihood(logits.data(), targets.data(), rows, cols,
                                got.data());
    reference_->NegativeLogLikelihood(logits.data(), targets.data(), rows, cols,
                                      want.data());
    for (int64_t r = 0; r < rows; ++r) {
      EXPECT_NEAR(got[r], want[r], 1e-5 * (1 + want[r]));
    }
  }
}

// The sum over a large vocabulary loses nothing by its length.
TEST_P(DeviceTest, NegativeLogLikelihoodOfALargeVocabulary) {
  const int64_t cols = 250000;
  for (int seed : {1, 2, 3}) {
    const auto logits = Random(cols, seed, 1.0f);
    const int32_t target = 7;
    double got = 0, want = 0;
    cpu_->NegativeLogLikelihood(logits.data(), &target, 1, cols, &got);
    reference_->NegativeLogLikelihood(logits.data(), &target, 1, cols, &want);
    EXPECT_NEAR(got, want, 1e-7);
  }
}

TEST_P(DeviceTest, ConstantLogitsGiveTheLogOfTheirNumberAndNaNStaysNaN) {
  for (Device* device : {cpu_.get(), reference_.get()}) {
    for (int64_t cols : {3, 64, 100}) {
      std::vector<float> logits(static_cast<size_t>(cols), 4.25f);
      const int32_t target = 1;
      double nll = 0;
      device->NegativeLogLikelihood(logits.data(), &target, 1, cols, &nll);
      EXPECT_NEAR(nll, std::log(static_cast<double>(cols)), 1e-6);
      for (size_t position : {size_t{0}, logits.size() - 1}) {
        auto broken = logits;
        broken[position] = kNaN;
        device->NegativeLogLikelihood(broken.data(), &target, 1, cols, &nll);
        EXPECT_TRUE(std::isnan(nll)) << device->name() << cols << position;
      }
    }
  }
}

TEST_P(DeviceTest, PackedIntDecodesEveryWidth) {
  for (int bits = 2; bits <= 8; ++bits) {
    const int64_t rows = 70, cols = 24, group = 8, groups = 3;
    const int64_t row_bytes = (cols * bits + 7) / 8;
    std::mt19937_64 engine(static_cast<uint64_t>(bits));
    std::vector<uint8_t> codes(static_cast<size_t>(rows * row_bytes));
    for (auto& c : codes) c = static_cast<uint8_t>(engine());
    const auto scales = Random(rows * groups, 13);
    std::vector<uint8_t> zeros(scales.size());
    for (auto& z : zeros) {
      z = static_cast<uint8_t>(engine() % (uint64_t{1} << bits));
    }
    std::vector<float> got(static_cast<size_t>(rows * cols));
    std::vector<float> want(got.size());
    PackedIntArgs args;
    args.rows = rows;
    args.cols = cols;
    args.bits = bits;
    args.group_size = group;
    args.groups = groups;
    args.codes = codes.data();
    args.scales = scales.data();
    args.zeros = zeros.data();
    args.out = got.data();
    cpu_->DecodePackedInt(args);
    // From the definition: bit j of a row is bit j % 8 of byte j / 8.
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        int code = 0;
        for (int b = 0; b < bits; ++b) {
          const int64_t bit = c * bits + b;
          code |= ((codes[static_cast<size_t>(r * row_bytes + bit / 8)] >>
                    (bit % 8)) &
                   1)
                  << b;
        }
        const size_t g = static_cast<size_t>(r * groups + c / group);
        want[static_cast<size_t>(r * cols + c)] =
            scales[g] * static_cast<float>(code - zeros[g]);
      }
    }
    EXPECT_EQ(got, want) << bits;
  }
}

TEST_P(DeviceTest, NearestCentroidIsTheFirstOfTheSmallestDistances) {
  for (int64_t k : {1, 3, 16, 37, 256}) {
    for (int64_t dimension : {1, 2, 5, 8}) {
      for (bool weighted : {false, true}) {
        const int64_t count = 41;
        // Multiples of 1/4 make every sum exact and many distances equal.
        auto vectors = Random(count * dimension, 21);
        auto centroids = Random(dimension * k, 22);
        for (auto* values : {&vectors, &centroids}) {
          for (float& v : *values) v = std::nearbyint(4 * v) / 4;
        }
        std::vector<float> weights;
        for (int64_t i = 0; weighted && i < count * dimension; ++i) {
          weights.push_back(static_cast<float>(i % 3));
        }
        NearestCentroidArgs args;
        args.count = count;
        args.dimension = dimension;
        args.centroid_count = k;
        args.vectors = vectors.data();
        args.weights = weighted ? weights.data() : nullptr;
        args.centroids = centroids.data();
        std::vector<int32_t> got(count), want(count);
        args.nearest = got.data();
        cpu_->FindNearestCentroids(args);
        args.nearest = want.data();
        reference_->FindNearestCentroids(args);
        ASSERT_EQ(got, want) << k << " " << dimension << " " << weighted;
        for (int64_t i = 0; i < count; ++i) {
          double best = std::numeric_limits<double>::infinity();
          int32_t first = -1;
          for (int64_t j = 0; j < k; ++j) {
            double distance = 0;
            for (int64_t t = 0; t < dimension; ++t) {
              const double d = double{vectors[i * dimension + t]} -
                               double{centroids[t * k + j]};
              distance +=
                  (weighted ? double{weights[i * dimension + t]} : 1.0) * d * d;
            }
            if (distance < best) {
              best = distance;
              first = static_cast<int32_t>(j);
            }
          }
          ASSERT_EQ(got[static_cast<size_t>(i)], first);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, DeviceTest, testing::Values(1, 2, 4));

TEST(DeviceTest, ResultsDoNotDependOnTheNumberOfThreads) {
  const int64_t m = 700, n = 65, k = 129;
  const auto a = Random(m * k, 14);
  const auto b = Random(n * k, 15);
  std::vector<std::vector<float>> results;
  std::vector<std::vector<double>> grams;
  for (int threads : {1, 2, 4}) {
    auto device = NewCpuDevice(threads);
    GemmArgs args = ArgsFor({m, n, k}, Transpose::kNo, Transpose::kYes);
    std::vector<float> c(static_cast<size_t>(m * n));
    args.a = a.data();
    args.b = b.data();
    args.c = c.data();
    device->Gemm(args);
    results.push_back(c);
    std::vector<double> gram(static_cast<size_t>(k * k));
    device->AccumulateGram(a.data(), m, k, gram.data());
    grams.push_back(gram);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
  EXPECT_EQ(grams[0], grams[1]);
  EXPECT_EQ(grams[0], grams[2]);
}

TEST(GemmImplementationsTest, EveryImplementationThatCanAgreesWithReference) {
  const int64_t m = 33, n = 17, k = 64;
  const auto a = Random(m * k, 16);
  const auto b = Random(k * n, 17);
  GemmArgs args = ArgsFor({m, n, k}, Transpose::kNo, Transpose::kNo);
  args.a = a.data();
  args.b = b.data();
  std::vector<float> want(static_cast<size_t>(m * n));
  args.c = want.data();
  NewReferenceDevice()->Gemm(args);
  std::vector<std::string> ran;
  for (const auto& implementation : cpu::GemmImplementations()) {
    args.compute = absl::string_view(implementation.name) == "onednn_bf16"
                       ? ComputeType::kBF16
                       : ComputeType::kF32;
    if (!implementation.can(args)) continue;
    std::vector<float> got(want.size(), kNaN);
    args.c = got.data();
    implementation.run(args);
    // bfloat16 keeps 8 bits: operands are off by up to 2^-9 each.
    ExpectNear(got, want, args.compute == ComputeType::kBF16 ? 5e-2 : 1e-5);
    ran.push_back(implementation.name);
  }
  EXPECT_THAT(ran, testing::IsSupersetOf({"onednn_f32", "reference"}));
  if (CpuHasBF16()) {
    EXPECT_THAT(ran, testing::Contains("onednn_bf16"));
  }
}

}  // namespace
}  // namespace quantd
