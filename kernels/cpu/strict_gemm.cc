#include "kernels/cpu/strict_gemm.h"

#include <algorithm>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/strict_gemm.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
//
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace quantd::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// A tile of kTileRows x 2 registers of sums leaves room for two loads of b and
// a broadcast of a in sixteen registers.
constexpr int64_t kTileRows = 6;
constexpr int64_t kTileVectors = 2;

// Columns [first, first + width) of op(b), row after row, filled up with zeros:
// sums of columns that do not exist are computed and dropped.
void PackPanel(const GemmArgs& args, int64_t first, int64_t width,
               float* HWY_RESTRICT panel) {
  const int64_t count = std::min(width, args.n - first);
  if (args.transpose_b == Transpose::kNo) {
    for (int64_t k = 0; k < args.k; ++k) {
      const float* from = args.b + k * args.ldb + first;
      float* to = panel + k * width;
      std::copy_n(from, count, to);
      std::fill(to + count, to + width, 0.0f);
    }
    return;
  }
  for (int64_t j = 0; j < width; ++j) {
    if (j >= count) {
      for (int64_t k = 0; k < args.k; ++k) panel[k * width + j] = 0.0f;
      continue;
    }
    const float* from = args.b + (first + j) * args.ldb;
    for (int64_t k = 0; k < args.k; ++k) panel[k * width + j] = from[k];
  }
}

template <int64_t kRows>
void Tile(const GemmArgs& args, int64_t row, int64_t first, int64_t width,
          const float* HWY_RESTRICT panel, float* HWY_RESTRICT sums) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const bool transposed = args.transpose_a == Transpose::kYes;
  const float* a = args.a + row * (transposed ? 1 : args.lda);
  const int64_t row_step = transposed ? 1 : args.lda;
  const int64_t k_step = transposed ? args.lda : 1;
  auto s00 = hn::Zero(d), s01 = s00, s10 = s00, s11 = s00, s20 = s00, s21 = s00;
  auto s30 = s00, s31 = s00, s40 = s00, s41 = s00, s50 = s00, s51 = s00;
  for (int64_t k = 0; k < args.k; ++k) {
    const auto b0 = hn::LoadU(d, panel + k * width);
    const auto b1 = hn::LoadU(d, panel + k * width + lanes);
    const float* column = a + k * k_step;
    const auto add = [&](int64_t r, auto& s0, auto& s1) HWY_ATTR {
      const auto x = hn::Set(d, column[r * row_step]);
      s0 = hn::MulAdd(x, b0, s0);
      s1 = hn::MulAdd(x, b1, s1);
    };
    add(0, s00, s01);
    if (kRows > 1) add(1, s10, s11);
    if (kRows > 2) add(2, s20, s21);
    if (kRows > 3) add(3, s30, s31);
    if (kRows > 4) add(4, s40, s41);
    if (kRows > 5) add(5, s50, s51);
  }
  const auto put = [&](int64_t r, auto s0, auto s1) HWY_ATTR {
    hn::StoreU(s0, d, sums);
    hn::StoreU(s1, d, sums + lanes);
    float* c = args.c + (row + r) * args.ldc + first;
    const int64_t count = std::min(width, args.n - first);
    if (args.beta == 0.0f) {
      std::copy_n(sums, count, c);
    } else {
      for (int64_t j = 0; j < count; ++j) c[j] = sums[j] + args.beta * c[j];
    }
  };
  put(0, s00, s01);
  if (kRows > 1) put(1, s10, s11);
  if (kRows > 2) put(2, s20, s21);
  if (kRows > 3) put(3, s30, s31);
  if (kRows > 4) put(4, s40, s41);
  if (kRows > 5) put(5, s50, s51);
}

void Multiply(const GemmArgs& args) {
  const hn::ScalableTag<float> d;
  const int64_t width = kTileVectors * static_cast<int64_t>(hn::Lanes(d));
  thread_local std::vector<float> panel, sums;
  panel.resize(static_cast<size_t>(args.k * width));
  sums.resize(static_cast<size_t>(width));
  for (int64_t first = 0; first < args.n; first += width) {
    PackPanel(args, first, width, panel.data());
    int64_t row = 0;
    for (; row + kTileRows <= args.m; row += kTileRows) {
      Tile<kTileRows>(args, row, first, width, panel.data(), sums.data());
    }
    for (; row < args.m; ++row) {
      Tile<1>(args, row, first, width, panel.data(), sums.data());
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace quantd::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace quantd::cpu {

HWY_EXPORT(Multiply);

void StrictGemm(const GemmArgs& args) { HWY_DYNAMIC_DISPATCH(Multiply)(args); }

}  // namespace quantd::cpu
#endif  // HWY_ONCE
