#include "models/network/position_tables.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/float_formats.h"

namespace quantd {
namespace {

// Positions a table is made for at least, so that the growing sequence of a
// generation does not make a new one at every token.
constexpr int64_t kMinPositions = 64;

using Frequencies = std::vector<double>;

Frequencies PlainFrequencies(double theta, int rotary_dim) {
  Frequencies result(static_cast<size_t>(rotary_dim / 2));
  for (size_t i = 0; i < result.size(); ++i) {
    result[i] = std::pow(theta, -2.0 * static_cast<double>(i) / rotary_dim);
  }
  return result;
}

Frequencies None(const RopeDescription& rope, int64_t) {
  return PlainFrequencies(rope.theta, rope.rotary_dim);
}

Frequencies Linear(const RopeDescription& rope, int64_t) {
  Frequencies result = PlainFrequencies(rope.theta, rope.rotary_dim);
  for (double& f : result) f /= rope.factor;
  return result;
}

Frequencies Dynamic(const RopeDescription& rope, int64_t longest) {
  const double d = rope.rotary_dim;
  const double length = std::max(static_cast<double>(longest), rope.context);
  const double grown = rope.factor * length / rope.context - (rope.factor - 1);
  return PlainFrequencies(rope.theta * std::pow(grown, d / (d - 2)),
                          rope.rotary_dim);
}

Frequencies Llama3(const RopeDescription& rope, int64_t) {
  Frequencies result = PlainFrequencies(rope.theta, rope.rotary_dim);
  const double longest_kept =
      rope.original_context / rope.high_frequency_factor;
  const double shortest_scaled =
      rope.original_context / rope.low_frequency_factor;
  for (double& f : result) {
    const double wavelength = 2 * std::numbers::pi / f;
    if (wavelength < longest_kept) continue;
    if (wavelength > shortest_scaled) {
      f /= rope.factor;
      continue;
    }
    const double smooth =
        (rope.original_context / wavelength - rope.low_frequency_factor) /
        (rope.high_frequency_factor - rope.low_frequency_factor);
    f = (1 - smooth) * f / rope.factor + smooth * f;
  }
  return result;
}

Frequencies Yarn(const RopeDescription& rope, int64_t) {
  Frequencies result = PlainFrequencies(rope.theta, rope.rotary_dim);
  const double d = rope.rotary_dim;
  // The dimension that turns `turns` times in the original context.
  auto dimension = [&](double turns) {
    return d *
           std::log(rope.original_context / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(rope.theta));
  };
  double low = dimension(rope.beta_fast);
  double high = dimension(rope.beta_slow);
  if (rope.whole_ramp) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, d - 1);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < result.size(); ++i) {
    const double ramp =
        std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    result[i] = result[i] / rope.factor * ramp + result[i] * (1 - ramp);
  }
  return result;
}

bool BeyondOriginalContext(const RopeDescription& rope, int64_t longest) {
  return static_cast<double>(longest) > rope.original_context;
}

Frequencies LongRope(const RopeDescription& rope, int64_t longest) {
  Frequencies result = PlainFrequencies(rope.theta, rope.rotary_dim);
  const std::vector<double>& factors = BeyondOriginalContext(rope, longest)
                                           ? rope.long_factors
                                           : rope.short_factors;
  for (size_t i = 0; i < result.size(); ++i) result[i] /= factors[i];
  return result;
}

// In the order of RopeDescription::Scaling.
struct ScalingRow {
  RopeDescription::Scaling scaling;
  Frequencies (*frequencies)(const RopeDescription& rope, int64_t longest);
};

constexpr ScalingRow kScalings[] = {
    {RopeDescription::Scaling::kNone, None},
    {RopeDescription::Scaling::kLinear, Linear},
    {RopeDescription::Scaling::kDynamic, Dynamic},
    {RopeDescription::Scaling::kLlama3, Llama3},
    {RopeDescription::Scaling::kYarn, Yarn},
    {RopeDescription::Scaling::kLongRope, LongRope},
};

// Whether a table for `made` tokens serves sequences of `longest`.
bool Serves(const RopeDescription& rope, int64_t made, int64_t longest) {
  switch (rope.scaling) {
    case RopeDescription::Scaling::kDynamic:
      return longest == made ||
             std::max(made, longest) <= static_cast<int64_t>(rope.context);
    case RopeDescription::Scaling::kLongRope:
      return BeyondOriginalContext(rope, made) ==
             BeyondOriginalContext(rope, longest);
    default:
      return true;
  }
}

}  // namespace

std::vector<double> RotaryFrequencies(const RopeDescription& rope,
                                      int64_t longest) {
  return kScalings[static_cast<size_t>(rope.scaling)].frequencies(rope,
                                                                  longest);
}

RotaryTable MakeRotaryTable(const RopeDescription& rope, int64_t positions,
                            int64_t longest) {
  const std::vector<double> frequencies = RotaryFrequencies(rope, longest);
  const int64_t half = static_cast<int64_t>(frequencies.size());
  const float factor = static_cast<float>(rope.attention_factor);
  RotaryTable table{Tensor::Uninitialized({positions, half}),
                    Tensor::Uninitialized({positions, half})};
  for (int64_t p = 0; p < positions; ++p) {
    for (int64_t i = 0; i < half; ++i) {
      // The reference computes angles in float32; at long contexts the
      // rounding of the product is visible, so it is reproduced.
      const float angle =
          static_cast<float>(p) *
          static_cast<float>(frequencies[static_cast<size_t>(i)]);
      table.cos.row(p)[i] = std::cos(angle) * factor;
      table.sin.row(p)[i] = std::sin(angle) * factor;
    }
  }
  return table;
}

Tensor MakeKeyBias(const AlibiDescription& alibi, int64_t positions) {
  const int64_t heads = static_cast<int64_t>(alibi.slopes.size());
  Tensor bias = Tensor::Uninitialized({heads, positions});
  for (int64_t h = 0; h < heads; ++h) {
    const float slope = alibi.slopes[static_cast<size_t>(h)];
    for (int64_t j = 0; j < positions; ++j) {
      float value = slope * static_cast<float>(j);
      if (alibi.round_to_bf16) {
        value = BF16ToF32(
            F32ToBF16(BF16ToF32(F32ToBF16(slope)) * static_cast<float>(j)));
      }
      bias.row(h)[j] = value * alibi.scale;
    }
  }
  return bias;
}

RotaryTable PositionTables::Rotary(int64_t longest) const {
  absl::MutexLock lock(&mutex_);
  const RopeDescription& rope = attention_.rope;
  if (rotary_.cos.size() == 0 || rotary_.cos.rows() < longest ||
      !Serves(rope, rotary_longest_, longest)) {
    // Twice the length at hand, so that growth is amortised; frequencies are
    // those of the length at hand.
    rotary_longest_ = longest;
    rotary_ =
        MakeRotaryTable(rope, std::max(2 * longest, kMinPositions), longest);
  }
  return rotary_;
}

Tensor PositionTables::KeyBias(int64_t longest) const {
  absl::MutexLock lock(&mutex_);
  if (key_bias_.size() == 0 || key_bias_.cols() < longest) {
    key_bias_ =
        MakeKeyBias(attention_.alibi, std::max(2 * longest, kMinPositions));
  }
  return key_bias_;
}

}  // namespace quantd
