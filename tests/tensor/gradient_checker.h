// Compares an operation and its gradients with an oracle in float64, on every
// device: values directly, gradients with central differences of the oracle.
#ifndef QUANTD_TESTS_TENSOR_GRADIENT_CHECKER_H_
#define QUANTD_TESTS_TENSOR_GRADIENT_CHECKER_H_

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tensor/gradient_tape.h"
#include "tests/tensor/gradient_oracles.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {

inline constexpr double kTolerance = 1e-4;
inline constexpr double kStep = 1e-5;

using Inputs = std::vector<Tensor>;
using Operation = std::function<Tensor(const Inputs&, ExecutionContext&)>;
using Oracle = std::function<Doubles(const std::vector<Doubles>&)>;

// The parameter says whether the device is the CPU's or the reference.
class GradientChecker : public testing::TestWithParam<bool> {
 protected:
  GradientChecker()
      : device_(GetParam() ? NewCpuDevice(2) : NewReferenceDevice()),
        ctx_(device_.get()) {}

  Tensor Random(Shape shape, float range = 1.0f) {
    Tensor t = Tensor::Uninitialized(std::move(shape));
    for (float& v : t.values()) {
      v = static_cast<float>(
          range * (static_cast<double>(engine_() >> 11) * 0x1p-52 - 1));
    }
    return t;
  }

  static Doubles ToDoubles(const Tensor& t) {
    return {t.values().begin(), t.values().end()};
  }

  // Largest difference over the largest value.
  static double Distance(const Tensor& got, const Doubles& want) {
    double difference = 0, largest = 1e-6;
    for (size_t i = 0; i < want.size(); ++i) {
      difference = std::max(difference, std::abs(got.data()[i] - want[i]));
      largest = std::max(largest, std::abs(want[i]));
    }
    return difference / largest;
  }

  // `inputs` are all differentiated; values are compared as well.
  void Check(const std::string& what, const Inputs& inputs,
             const Operation& operation, const Oracle& oracle) {
    SCOPED_TRACE(what);
    GradientTape tape(ctx_);
    Inputs watched;
    std::vector<Doubles> values;
    for (const Tensor& input : inputs) {
      watched.push_back(tape.Watch(input));
      values.push_back(ToDoubles(input));
    }
    const Tensor y = operation(watched, ctx_);
    const Doubles expected = oracle(values);
    ASSERT_EQ(y.size(), static_cast<int64_t>(expected.size()));
    EXPECT_LT(Distance(y, expected), kTolerance) << "value";
    // Nothing is recorded without tracked inputs, and values are the same.
    const Tensor plain = operation(inputs, ctx_);
    EXPECT_EQ(plain.tape(), nullptr);
    EXPECT_THAT(plain.values(), testing::ElementsAreArray(y.values()));

    const Tensor seed = Random(y.shape());
    ASSERT_THAT(tape.Backward({{y, seed}}), IsOk());
    const auto scalar = [&](const std::vector<Doubles>& at) {
      const Doubles out = oracle(at);
      double sum = 0;
      for (size_t i = 0; i < out.size(); ++i) sum += seed.data()[i] * out[i];
      return sum;
    };
    for (size_t n = 0; n < inputs.size(); ++n) {
      Doubles numeric(values[n].size());
      for (size_t i = 0; i < numeric.size(); ++i) {
        std::vector<Doubles> at = values;
        at[n][i] = values[n][i] + kStep;
        const double up = scalar(at);
        at[n][i] = values[n][i] - kStep;
        numeric[i] = (up - scalar(at)) / (2 * kStep);
      }
      EXPECT_LT(Distance(tape.Gradient(watched[n]), numeric), kTolerance)
          << "input " << n;
    }
  }

  std::mt19937_64 engine_{7};
  const std::unique_ptr<Device> device_;
  ExecutionContext ctx_;
};

}  // namespace quantd::test

#endif  // QUANTD_TESTS_TENSOR_GRADIENT_CHECKER_H_
