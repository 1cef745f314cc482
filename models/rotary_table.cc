#include "models/rotary_table.h"

#include <cmath>
#include <numbers>

namespace quantd {
namespace {

double ScaleLlama3(const RopeDescription& rope, double frequency) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double longest_kept =
      rope.original_context / rope.high_frequency_factor;
  const double shortest_scaled =
      rope.original_context / rope.low_frequency_factor;
  if (wavelength < longest_kept) return frequency;
  if (wavelength > shortest_scaled) return frequency / rope.factor;
  const double smooth =
      (rope.original_context / wavelength - rope.low_frequency_factor) /
      (rope.high_frequency_factor - rope.low_frequency_factor);
  return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

}  // namespace

std::vector<double> RotaryFrequencies(const RopeDescription& rope,
                                      int head_dim) {
  std::vector<double> frequencies(static_cast<size_t>(head_dim / 2));
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double frequency =
        std::pow(rope.theta, -2.0 * static_cast<double>(i) / head_dim);
    frequencies[i] = rope.scaling == RopeDescription::Scaling::kLlama3
                         ? ScaleLlama3(rope, frequency)
                         : frequency;
  }
  return frequencies;
}

RotaryTable MakeRotaryTable(const RopeDescription& rope, int head_dim,
                            int64_t tokens) {
  const std::vector<double> frequencies = RotaryFrequencies(rope, head_dim);
  const int64_t half = static_cast<int64_t>(frequencies.size());
  RotaryTable table{Tensor::Uninitialized({tokens, half}),
                    Tensor::Uninitialized({tokens, half})};
  for (int64_t p = 0; p < tokens; ++p) {
    for (int64_t i = 0; i < half; ++i) {
      // The reference computes angles in float32; at long contexts the
      // rounding of the product is visible, so it is reproduced.
      const float angle =
          static_cast<float>(p) *
          static_cast<float>(frequencies[static_cast<size_t>(i)]);
      table.cos.row(p)[i] = std::cos(angle);
      table.sin.row(p)[i] = std::sin(angle);
    }
  }
  return table;
}

}  // namespace quantd
