#include "kernels/gemm_f64.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm_f64.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
//
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace quantd::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Rows of a slice of b: with two vectors of columns it fits the first-level
// cache beside the rows of a.
constexpr int64_t kDepth = 256;
// Rows of c in registers: 12 sums, 2 columns of b and one value of a.
constexpr int kRows = 6;

struct Slice {
  double alpha;
  const double* a;
  int64_t lda;
  int64_t k;
  const double* b;  // [k, 2 vectors]
  double* c;
  int64_t ldc;
  int64_t cols;  // that exist; at most 2 vectors
};

int64_t PanelWidth() {
  const hn::ScalableTag<double> d;
  return 2 * static_cast<int64_t>(hn::Lanes(d));
}

template <int kCount>
void MultiplyRows(const Slice& s) {
  const hn::ScalableTag<double> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  V left[kCount];
  V right[kCount];
  for (int r = 0; r < kCount; ++r) left[r] = right[r] = hn::Zero(d);
  const double* b = s.b;
  for (int64_t i = 0; i < s.k; ++i, b += 2 * lanes) {
    const V b0 = hn::LoadU(d, b);
    const V b1 = hn::LoadU(d, b + lanes);
    for (int r = 0; r < kCount; ++r) {
      const V a = hn::Set(d, s.a[r * s.lda + i]);
      left[r] = hn::MulAdd(a, b0, left[r]);
      right[r] = hn::MulAdd(a, b1, right[r]);
    }
  }
  const V alpha = hn::Set(d, s.alpha);
  if (s.cols == 2 * lanes) {
    for (int r = 0; r < kCount; ++r) {
      double* c = s.c + r * s.ldc;
      hn::StoreU(hn::MulAdd(alpha, left[r], hn::LoadU(d, c)), d, c);
      hn::StoreU(hn::MulAdd(alpha, right[r], hn::LoadU(d, c + lanes)), d,
                 c + lanes);
    }
    return;
  }
  HWY_ALIGN double row[2 * HWY_MAX_BYTES / sizeof(double)];
  for (int r = 0; r < kCount; ++r) {
    hn::StoreU(hn::Mul(alpha, left[r]), d, row);
    hn::StoreU(hn::Mul(alpha, right[r]), d, row + lanes);
    for (int64_t c = 0; c < s.cols; ++c) s.c[r * s.ldc + c] += row[c];
  }
}

void MultiplySlice(Slice s, int64_t rows) {
  for (; rows >= kRows; rows -= kRows) {
    MultiplyRows<kRows>(s);
    s.a += kRows * s.lda;
    s.c += kRows * s.ldc;
  }
  switch (rows) {
    case 5:
      return MultiplyRows<5>(s);
    case 4:
      return MultiplyRows<4>(s);
    case 3:
      return MultiplyRows<3>(s);
    case 2:
      return MultiplyRows<2>(s);
    case 1:
      return MultiplyRows<1>(s);
    default:
      return;
  }
}

// `b`: panels of [depth, width].
void MultiplyAdd(double alpha, const double* a, int64_t lda, int64_t m,
                 int64_t k, const double* b, int64_t depth, int64_t n,
                 double* c, int64_t ldc) {
  const int64_t width = PanelWidth();
  for (int64_t begin = 0; begin < k; begin += kDepth) {
    const int64_t count = std::min(kDepth, k - begin);
    for (int64_t column = 0; column < n; column += width) {
      MultiplySlice({alpha, a + begin, lda, count,
                     b + (column / width * depth + begin) * width, c + column,
                     ldc, std::min(width, n - column)},
                    m);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace quantd::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace quantd {
namespace cpu {

HWY_EXPORT(PanelWidth);
HWY_EXPORT(MultiplyAdd);

}  // namespace cpu

void PackedF64::Pack(const double* b, int64_t ldb, Transpose transpose,
                     int64_t k, int64_t n, ThreadPool& pool) {
  using namespace cpu;  // NOLINT: what HWY_EXPORT made
  k_ = k;
  n_ = n;
  width_ = HWY_DYNAMIC_DISPATCH(PanelWidth)();
  const int64_t panels = (n + width_ - 1) / width_;
  values_.resize(static_cast<size_t>(panels * k * width_));
  pool.ParallelFor(panels, [&](int64_t panel) {
    double* out = values_.data() + panel * k * width_;
    const int64_t first = panel * width_;
    const int64_t cols = std::min(width_, n - first);
    if (transpose == Transpose::kNo) {
      for (int64_t i = 0; i < k; ++i) {
        double* row = std::copy_n(b + i * ldb + first, cols, out + i * width_);
        std::fill_n(row, width_ - cols, 0.0);
      }
      return;
    }
    if (cols < width_) std::fill_n(out, k * width_, 0.0);
    for (int64_t c = 0; c < cols; ++c) {
      const double* column = b + (first + c) * ldb;
      for (int64_t i = 0; i < k; ++i) out[i * width_ + c] = column[i];
    }
  });
}

void MultiplyAddF64(double alpha, const double* a, int64_t lda, int64_t m,
                    int64_t k, const PackedF64& b, int64_t n, double* c,
                    int64_t ldc) {
  using namespace cpu;  // NOLINT: what HWY_EXPORT made
  HWY_DYNAMIC_DISPATCH(MultiplyAdd)
  (alpha, a, lda, m, k, b.values_.data(), b.k_, n, c, ldc);
}

}  // namespace quantd
#endif  // HWY_ONCE
