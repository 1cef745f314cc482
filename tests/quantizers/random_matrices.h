// Weights and input statistics for the tests of quantizers: equal seeds give
// equal values on every platform.
#ifndef QUANTD_TESTS_QUANTIZERS_RANDOM_MATRICES_H_
#define QUANTD_TESTS_QUANTIZERS_RANDOM_MATRICES_H_

#include <cstdint>
#include <random>
#include <vector>

#include "quantizers/second_moment.h"
#include "tensor/tensor.h"

namespace quantd::test {

// Uniform in [-1, 1).
inline std::vector<double> RandomValues(int64_t count, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<double> values(static_cast<size_t>(count));
  for (double& v : values) {
    v = static_cast<double>(engine() >> 11) * 0x1p-52 - 1;
  }
  return values;
}

// The same values in float32, [rows, cols].
inline Tensor RandomMatrix(int64_t rows, int64_t cols, uint64_t seed) {
  const std::vector<double> values = RandomValues(rows * cols, seed);
  Tensor t = Tensor::Uninitialized({rows, cols});
  for (int64_t i = 0; i < t.size(); ++i) {
    t.data()[i] = static_cast<float>(values[static_cast<size_t>(i)]);
  }
  return t;
}

// The second moment of 4n correlated inputs of unequal size, as real
// activations are.
inline SquareMatrix CorrelatedMoment(int64_t n, uint64_t seed) {
  const std::vector<double> x = RandomValues(4 * n * n, seed);
  SquareMatrix h(n);
  std::vector<double> row(static_cast<size_t>(n));
  for (int64_t r = 0; r < 4 * n; ++r) {
    for (int64_t i = 0; i < n; ++i) {
      row[i] = (1 + static_cast<double>(i % 5)) *
               (x[r * n + i] + 0.8 * x[r * n + (i + 1) % n]);
    }
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) h.at(i, j) += row[i] * row[j];
    }
  }
  return h;
}

}  // namespace quantd::test

#endif  // QUANTD_TESTS_QUANTIZERS_RANDOM_MATRICES_H_
