#include "quantizers/latent_signs.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/layouts/dual_binary.h"
#include "models/layouts/partially_binary.h"
#include "quantizers/grids/dual_binary.h"
#include "tensor/estimators.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

// Codes are finite whatever decides them, so that a descent that went astray
// would not show.
absl::Status CheckLatents(const Tensor& latents) {
  for (float value : latents.values()) {
    if (!std::isfinite(value)) {
      return absl::InvalidArgumentError(
          absl::StrCat("latent weight ", value, " is not finite"));
    }
  }
  return absl::OkStatus();
}

// --- partially-binary.v1 ---------------------------------------------------

// Parameters: latent weights [rows, cols], of which those of salient weights
// do nothing.
class LatentPartiallyBinary final : public TunableLinear {
 public:
  LatentPartiallyBinary(PartiallyBinaryWeights start, Tensor weight)
      : start_(std::move(start)),
        weight_(std::move(weight)),
        groups_(ChannelGroupsOf(start_.group_size, start_.group_index)),
        others_(Tensor::Zeros({start_.rows, start_.cols})),
        salient_(Tensor::Zeros({start_.rows, start_.cols})) {
    for (int64_t r = 0; r < start_.rows; ++r) {
      const float scale = start_.scales[static_cast<size_t>(r)];
      const int zero = start_.zeros[static_cast<size_t>(r)];
      for (int64_t c = 0; c < start_.cols; ++c) {
        const size_t i = static_cast<size_t>(r * start_.cols + c);
        if (start_.salient[i] == 0) {
          others_.row(r)[c] = 1;
        } else {
          salient_.row(r)[c] =
              scale * static_cast<float>(int{start_.codes[i]} - zero);
        }
      }
    }
  }

  std::vector<Tensor> Parameters() const override { return {weight_.Clone()}; }

  Tensor Weight(absl::Span<const Tensor> parameters,
                ExecutionContext& ctx) const override {
    const Binary binary = BinaryOf(parameters[0], ctx);
    Tensor y =
        ops::FromCodeUnits(binary.signs, binary.alphas, Tensor(), groups_, ctx);
    if (centered()) {
      y = ops::Add(
          y, ops::FromCodeUnits(others_, binary.means, Tensor(), groups_, ctx),
          ctx);
    }
    return ops::Add(ops::StraightThrough(y, binary.offsets, others_, ctx),
                    salient_, ctx);
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Freeze(
      absl::Span<const Tensor> parameters,
      ExecutionContext& ctx) const override {
    RETURN_IF_ERROR(CheckLatents(parameters[0]));
    const Binary binary = BinaryOf(parameters[0], ctx);
    PartiallyBinaryWeights result = start_;
    for (size_t i = 0; i < result.codes.size(); ++i) {
      if (result.salient[i] != 0) continue;
      result.codes[i] = binary.signs.data()[i] > 0 ? 1 : 0;
    }
    result.alphas = ToVector(binary.alphas);
    if (centered()) result.means = ToVector(binary.means);
    return NewPartiallyBinary(std::move(result));
  }

 private:
  struct Binary {
    Tensor means;    // [rows, G], exact in F16; empty: zero
    Tensor offsets;  // [rows, cols] from them
    Tensor signs;    // [rows, cols] of the offsets, 0 where salient, constants
    Tensor alphas;   // [rows, G], exact in F16
  };

  bool centered() const { return !start_.means.empty(); }

  Binary BinaryOf(const Tensor& latents, ExecutionContext& ctx) const {
    Binary binary;
    binary.offsets = latents;
    if (centered()) {
      binary.means = ops::RoundToF16StraightThrough(
          ops::GroupMeans(latents, others_, groups_, ctx), ctx);
      Tensor ones = Tensor::Uninitialized({start_.rows, start_.groups()});
      std::fill(ones.values().begin(), ones.values().end(), 1.0f);
      binary.offsets = ops::ToCodeUnits(
          latents, ones, ops::Scale(binary.means, -1), groups_, ctx);
    }
    binary.signs = Tensor::Uninitialized({start_.rows, start_.cols});
    const Tensor offsets = binary.offsets.Untracked();
    ctx.device().pool().ParallelFor(start_.rows, [&](int64_t r) {
      for (int64_t c = 0; c < start_.cols; ++c) {
        const float sign = offsets.row(r)[c] >= 0 ? 1.0f : -1.0f;
        binary.signs.row(r)[c] = others_.row(r)[c] * sign;
      }
    });
    binary.alphas = ops::RoundToF16StraightThrough(
        ops::GroupMeans(ops::Multiply(binary.offsets, binary.signs, ctx),
                        others_, groups_, ctx),
        ctx);
    return binary;
  }

  const PartiallyBinaryWeights start_;
  const Tensor weight_;
  const ChannelGroups groups_;
  // [rows, cols], constants.
  Tensor others_;   // 1, 0 where salient
  Tensor salient_;  // the value where salient, 0 elsewhere
};

// --- dual-binary.v1 --------------------------------------------------------

// Parameters: latent weights [rows, cols], then with the range the levels with
// their signs [rows, G] (models/layouts/dual_binary.h).
class LatentDualBinary final : public TunableLinear {
 public:
  LatentDualBinary(DualBinaryWeights start, Tensor weight,
                   const LearnedOptions& options)
      : start_(std::move(start)),
        weight_(std::move(weight)),
        options_(options),
        groups_(ChannelGroupsOf(start_.group_size, start_.group_index)),
        levels_(SignedLevels(start_)) {}

  std::vector<Tensor> Parameters() const override {
    std::vector<Tensor> p = {weight_.Clone()};
    if (options_.learn_range) {
      p.push_back(levels_.highs.Clone());
      p.push_back(levels_.lows.Clone());
    }
    return p;
  }

  double LearningRateFactor(size_t parameter) const override {
    return parameter == 0 ? 1 : options_.range_rate;
  }

  Tensor Weight(absl::Span<const Tensor> parameters,
                ExecutionContext& ctx) const override {
    const DualLevels levels = Levels(parameters, ctx);
    const Planes planes = PlanesOf(parameters[0], levels, ctx);
    return ops::StraightThrough(
        SumOfLevels(planes.high_bits, planes.low_bits, levels, groups_, ctx),
        parameters[0], planes.inside, ctx);
  }

  void Project(absl::Span<Tensor> parameters) const override {
    if (!options_.learn_range) return;
    DualLevels levels = {parameters[1], parameters[2]};
    OrderLevels(start_.mirrored, &levels);
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Freeze(
      absl::Span<const Tensor> parameters,
      ExecutionContext& ctx) const override {
    RETURN_IF_ERROR(CheckLatents(parameters[0]));
    const DualLevels levels = Levels(parameters, ctx);
    const Planes planes = PlanesOf(parameters[0], levels, ctx);
    DualBinaryWeights result = start_;
    for (size_t i = 0; i < result.codes.size(); ++i) {
      result.codes[i] = static_cast<uint8_t>(planes.high_bits.data()[i] +
                                             2 * planes.low_bits.data()[i]);
    }
    SetSignedLevels(levels, &result);
    return NewDualBinary(std::move(result));
  }

 private:
  // [rows, cols] of 0 and 1, constants.
  struct Planes {
    Tensor high_bits;
    Tensor low_bits;
    Tensor inside;  // whether the weight lies between the group's values
  };

  DualLevels Levels(absl::Span<const Tensor> parameters,
                    ExecutionContext& ctx) const {
    if (!options_.learn_range) return levels_;
    return {ops::RoundToF16StraightThrough(parameters[1], ctx),
            ops::RoundToF16StraightThrough(parameters[2], ctx)};
  }

  Planes PlanesOf(const Tensor& latents, const DualLevels& levels,
                  ExecutionContext& ctx) const {
    const Shape by_weight = {start_.rows, start_.cols};
    Planes planes = {Tensor::Uninitialized(by_weight),
                     Tensor::Uninitialized(by_weight),
                     Tensor::Uninitialized(by_weight)};
    const std::vector<int32_t> group_of = groups_.ByChannel(start_.cols);
    ctx.device().pool().ParallelFor(start_.rows, [&](int64_t r) {
      for (int64_t c = 0; c < start_.cols; ++c) {
        const int64_t g = group_of[static_cast<size_t>(c)];
        const DualBinaryPair pair = {levels.highs.row(r)[g],
                                     levels.lows.row(r)[g]};
        const float w = latents.row(r)[c];
        const int code = EncodeDualBinary(w, pair);
        planes.high_bits.row(r)[c] = static_cast<float>(code & 1);
        planes.low_bits.row(r)[c] = static_cast<float>(code >> 1);
        planes.inside.row(r)[c] = w >= std::min(pair.low, pair.high) &&
                                          w <= std::max(pair.low, pair.high)
                                      ? 1.0f
                                      : 0.0f;
      }
    });
    return planes;
  }

  const DualBinaryWeights start_;
  const Tensor weight_;
  const LearnedOptions options_;
  const ChannelGroups groups_;
  const DualLevels levels_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TunableLinear>> NewLatentSigns(
    const CompressedLinear& start, const Tensor& weight,
    const LearnedOptions& options) {
  if (auto binary = UnpackPartiallyBinary(start); binary.has_value()) {
    return std::make_unique<LatentPartiallyBinary>(*std::move(binary), weight);
  }
  if (auto dual = UnpackDualBinary(start); dual.has_value()) {
    return std::make_unique<LatentDualBinary>(*std::move(dual), weight,
                                              options);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(v1::TuneStage::Variable_Name(options.variable),
                   " needs layout ", kPartiallyBinaryLayout, " or ",
                   kDualBinaryLayout, ", not ", start.layout()));
}

}  // namespace quantd
