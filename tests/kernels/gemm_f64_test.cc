#include "kernels/gemm_f64.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace quantd {
namespace {

std::vector<double> Random(int64_t count, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<double> values(static_cast<size_t>(count));
  for (double& v : values) {
    v = static_cast<double>(engine() >> 11) * 0x1p-52 - 1;
  }
  return values;
}

// Every count of rows and columns that a register tile can leave over, parts
// of what was packed, and depths around that of a slice.
TEST(GemmF64Test, EqualsTheDefinition) {
  ThreadPool pool(2);
  PackedF64 packed;
  for (int64_t k : {1, 7, 255, 256, 600}) {
    for (int64_t n : {1, 5, 16, 37}) {
      for (Transpose transpose : {Transpose::kNo, Transpose::kYes}) {
        const int64_t ldb = (transpose == Transpose::kYes ? k : n) + 3;
        const auto b = Random(ldb * (transpose == Transpose::kYes ? n : k), 1);
        packed.Pack(b.data(), ldb, transpose, k, n, pool);
        EXPECT_EQ(packed.k(), k);
        EXPECT_EQ(packed.n(), n);
        for (int64_t m : {1, 2, 3, 4, 5, 6, 7, 13}) {
          const int64_t used_k = k - k / 3;
          const int64_t used_n = n - n / 4;
          const int64_t lda = k + 2, ldc = n + 1;
          const auto a = Random(m * lda, 2);
          auto c = Random(m * ldc, 3);
          auto want = c;
          for (int64_t r = 0; r < m; ++r) {
            for (int64_t j = 0; j < used_n; ++j) {
              double sum = 0;
              for (int64_t i = 0; i < used_k; ++i) {
                sum += a[r * lda + i] * (transpose == Transpose::kYes
                                             ? b[j * ldb + i]
                                             : b[i * ldb + j]);
              }
              want[r * ldc + j] += -0.5 * sum;
            }
          }
          MultiplyAddF64(-0.5, a.data(), lda, m, used_k, packed, used_n,
                         c.data(), ldc);
          for (size_t i = 0; i < c.size(); ++i) {
            ASSERT_NEAR(c[i], want[i], 1e-12) << k << " " << n << " " << m;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace quantd
