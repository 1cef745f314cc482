#include "quantizers/outlier_selection.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "absl/types/span.h"

namespace quantd {
namespace {

// The indices of the `count` largest scores, ascending.
template <typename Score>
std::vector<int64_t> Largest(int64_t total, int64_t count, Score score) {
  std::vector<int64_t> indices(static_cast<size_t>(total));
  std::iota(indices.begin(), indices.end(), 0);
  const auto end = indices.begin() + count;
  // A total order, so that the chosen set does not depend on the algorithm.
  std::nth_element(indices.begin(), end, indices.end(),
                   [&](int64_t a, int64_t b) {
                     const double sa = score(a);
                     const double sb = score(b);
                     return sa != sb ? sa > sb : a < b;
                   });
  indices.erase(end, indices.end());
  std::sort(indices.begin(), indices.end());
  return indices;
}

// `count` of 0 .. total - 1, ascending: selection sampling (Knuth, The Art of
// Computer Programming 2, 3.4.2, algorithm S).
std::vector<int64_t> Sample(int64_t total, int64_t count, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < total && count > 0; ++i) {
    const double u = static_cast<double>(engine() >> 11) * 0x1p-53;
    if (static_cast<double>(total - i) * u < static_cast<double>(count)) {
      indices.push_back(i);
      --count;
    }
  }
  return indices;
}

// Of row-major indices, ascending.
OutlierMask MaskOfEntries(int64_t rows, int64_t cols,
                          absl::Span<const int64_t> indices) {
  OutlierMask mask;
  mask.row_starts.assign(static_cast<size_t>(rows + 1), 0);
  for (int64_t i : indices) {
    mask.columns.push_back(static_cast<int32_t>(i % cols));
    ++mask.row_starts[static_cast<size_t>(i / cols + 1)];
  }
  std::partial_sum(mask.row_starts.begin(), mask.row_starts.end(),
                   mask.row_starts.begin());
  return mask;
}

OutlierMask MaskOfColumns(int64_t rows, absl::Span<const int64_t> columns) {
  OutlierMask mask;
  for (int64_t r = 0; r <= rows; ++r) {
    mask.row_starts.push_back(
        static_cast<int32_t>(r * static_cast<int64_t>(columns.size())));
    if (r == rows) break;
    for (int64_t c : columns) mask.columns.push_back(static_cast<int32_t>(c));
  }
  return mask;
}

}  // namespace

int64_t OutlierCount(double fraction, int64_t total) {
  // What rounding adds to a product that should be whole does not count.
  const double share = fraction * static_cast<double>(total);
  const double slack = 1e-9 * share;
  return std::min(total, static_cast<int64_t>(std::ceil(share - slack)));
}

template <typename Real>
OutlierMask LargestEntries(int64_t rows, int64_t cols, const Real* values,
                           int64_t count) {
  return MaskOfEntries(rows, cols, Largest(rows * cols, count, [&](int64_t i) {
                         return std::abs(static_cast<double>(values[i]));
                       }));
}

template <typename Real>
OutlierMask LargestColumns(int64_t rows, int64_t cols, const Real* values,
                           int64_t count) {
  std::vector<double> norms(static_cast<size_t>(cols), 0.0);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      const double v = static_cast<double>(values[r * cols + c]);
      norms[static_cast<size_t>(c)] += v * v;
    }
  }
  return MaskOfColumns(rows, Largest(cols, count, [&](int64_t c) {
                         return norms[static_cast<size_t>(c)];
                       }));
}

template <typename Real>
OutlierMask EntriesBeyond(int64_t rows, int64_t cols, const Real* values,
                          double sigmas) {
  const int64_t total = rows * cols;
  const double n = static_cast<double>(total);
  const double mean = std::accumulate(values, values + total, 0.0) / n;
  double variance = 0;
  for (int64_t i = 0; i < total; ++i) {
    const double d = static_cast<double>(values[i]) - mean;
    variance += d * d / n;
  }
  std::vector<int64_t> indices;
  const double limit = sigmas * std::sqrt(variance);
  for (int64_t i = 0; i < total && limit > 0; ++i) {
    if (std::abs(static_cast<double>(values[i]) - mean) >= limit) {
      indices.push_back(i);
    }
  }
  return MaskOfEntries(rows, cols, indices);
}

OutlierMask RandomEntries(int64_t rows, int64_t cols, int64_t count,
                          uint64_t seed) {
  return MaskOfEntries(rows, cols, Sample(rows * cols, count, seed));
}

OutlierMask RandomColumns(int64_t rows, int64_t cols, int64_t count,
                          uint64_t seed) {
  return MaskOfColumns(rows, Sample(cols, count, seed));
}

template OutlierMask LargestEntries<float>(int64_t, int64_t, const float*,
                                           int64_t);
template OutlierMask LargestEntries<double>(int64_t, int64_t, const double*,
                                            int64_t);
template OutlierMask LargestColumns<float>(int64_t, int64_t, const float*,
                                           int64_t);
template OutlierMask LargestColumns<double>(int64_t, int64_t, const double*,
                                            int64_t);
template OutlierMask EntriesBeyond<float>(int64_t, int64_t, const float*,
                                          double);
template OutlierMask EntriesBeyond<double>(int64_t, int64_t, const double*,
                                           double);

}  // namespace quantd
