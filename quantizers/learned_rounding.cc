#include "quantizers/learned_rounding.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/layouts/packed_int.h"
#include "tensor/estimators.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

// The smallest positive binary16 number, and the greatest.
constexpr float kLeastScale = 0x1p-24f;
constexpr float kGreatestScale = 65504.0f;

// What all variables share: the grid that the solver left, the weight.
class LearnedRounding : public TunableLinear {
 public:
  LearnedRounding(PackedIntWeights start, Tensor weight,
                  const LearnedOptions& options)
      : start_(std::move(start)),
        weight_(std::move(weight)),
        options_(options),
        groups_(ChannelGroupsOf(start_.group_size, start_.group_index)),
        top_(static_cast<float>((1 << start_.bits) - 1)),
        scales_(Tensor::FromValues(by_group(), start_.scales)),
        zeros_(ToFloats(start_.zeros, by_group())) {}

  Tensor Weight(absl::Span<const Tensor> parameters,
                ExecutionContext& ctx) const override {
    const Grid grid = GridOf(parameters, ctx);
    return ops::FromCodeUnits(Codes(parameters, grid, ctx), grid.scales,
                              grid.zeros, groups_, ctx);
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Freeze(
      absl::Span<const Tensor> parameters,
      ExecutionContext& ctx) const override {
    const Grid grid = GridOf(parameters, ctx);
    const Tensor codes = Codes(parameters, grid, ctx);
    PackedIntWeights result = start_;
    result.scales = ToVector(grid.scales);
    // Of a soft rounding the nearer side.
    result.codes = ToCodes(codes);
    result.zeros = ToCodes(grid.zeros);
    return NewPackedInt(std::move(result));
  }

 protected:
  struct Grid {
    Tensor scales;  // exact in F16
    Tensor zeros;   // whole numbers
  };

  virtual Grid GridOf(absl::Span<const Tensor> /*parameters*/,
                      ExecutionContext& /*ctx*/) const {
    return {scales_, zeros_};
  }
  virtual Tensor Codes(absl::Span<const Tensor> parameters, const Grid& grid,
                       ExecutionContext& ctx) const = 0;

  Shape by_group() const { return {start_.rows, start_.groups()}; }
  Shape by_weight() const { return {start_.rows, start_.cols}; }

  static Tensor Filled(Shape shape, float value) {
    Tensor t = Tensor::Uninitialized(std::move(shape));
    std::fill(t.values().begin(), t.values().end(), value);
    return t;
  }

  Tensor Storable(const Tensor& scales, ExecutionContext& ctx) const {
    return ops::RoundToF16StraightThrough(
        ops::Clip(scales, kLeastScale, kGreatestScale, ctx), ctx);
  }

  // The grid whose range is that of the solver with its ends times `upper` and
  // `lower`; a symmetric one has one end.
  Grid WithRange(const Tensor& upper, const Tensor& lower,
                 ExecutionContext& ctx) const {
    if (start_.symmetric) {
      return {Storable(ops::Multiply(scales_, upper, ctx), ctx), zeros_};
    }
    Tensor greatest = Tensor::Uninitialized(by_group());
    Tensor least = Tensor::Uninitialized(by_group());
    for (int64_t i = 0; i < scales_.size(); ++i) {
      const float s = scales_.data()[i];
      const float z = zeros_.data()[i];
      greatest.data()[i] = s * (top_ - z);
      least.data()[i] = s * z;  // negated
    }
    const Tensor below = ops::Multiply(least, lower, ctx);
    const Tensor range =
        ops::Add(ops::Multiply(greatest, upper, ctx), below, ctx);
    Grid grid;
    grid.scales = Storable(ops::Scale(range, 1 / top_), ctx);
    grid.zeros = ops::Clip(
        ops::RoundStraightThrough(ops::Divide(below, grid.scales, ctx), ctx), 0,
        top_, ctx);
    return grid;
  }

  Tensor Rounded(const Tensor& code_units, ExecutionContext& ctx) const {
    return ops::Clip(ops::RoundStraightThrough(code_units, ctx), 0, top_, ctx);
  }

  static std::vector<uint8_t> ToCodes(const Tensor& t) {
    std::vector<uint8_t> codes(static_cast<size_t>(t.size()));
    for (size_t i = 0; i < codes.size(); ++i) {
      // Of NaN, which Freeze() refuses by its scale, the first.
      codes[i] = t.data()[i] > 0
                     ? static_cast<uint8_t>(std::floor(t.data()[i] + 0.5f))
                     : uint8_t{0};
    }
    return codes;
  }

  const PackedIntWeights start_;
  const Tensor weight_;
  const LearnedOptions options_;
  const ChannelGroups groups_;
  const float top_;  // Q
  const Tensor scales_;
  const Tensor zeros_;
};

// Parameters: offsets [rows, cols], then with the range its ends' factors
// [rows, groups].
class OffsetRounding final : public LearnedRounding {
 public:
  OffsetRounding(PackedIntWeights start, Tensor weight,
                 const LearnedOptions& options)
      : LearnedRounding(std::move(start), std::move(weight), options),
        offsets_(Tensor::Zeros(by_weight())) {
    // A weight that the solver did not round to its nearest code begins in the
    // middle of the code it got.
    for (int64_t r = 0; r < start_.rows; ++r) {
      for (int64_t c = 0; c < start_.cols; ++c) {
        const int64_t g = groups_.Of(c);
        const float units =
            weight_.row(r)[c] / scales_.row(r)[g] + zeros_.row(r)[g];
        const float nearest = std::clamp(std::nearbyint(units), 0.0f, top_);
        const float code =
            start_.codes[static_cast<size_t>(r * start_.cols + c)];
        if (code != nearest) offsets_.row(r)[c] = code - units;
      }
    }
  }

  std::vector<Tensor> Parameters() const override {
    std::vector<Tensor> p = {offsets_.Clone()};
    if (options_.learn_range) {
      p.push_back(Filled(by_group(), 1));
      p.push_back(Filled(by_group(), 1));
    }
    return p;
  }

  double LearningRateFactor(size_t parameter) const override {
    return parameter == 0 ? 1 : options_.range_rate;
  }

  void Project(absl::Span<Tensor> parameters) const override {
    float* const v = parameters[0].data();
    for (int64_t i = 0; i < parameters[0].size(); ++i) {
      const float bound = std::max(0.5f, std::abs(offsets_.data()[i]));
      v[i] = std::clamp(v[i], -bound, bound);
    }
    for (size_t p = 1; p < parameters.size(); ++p) {
      for (float& factor : parameters[p].values()) {
        factor = std::clamp(factor, kLeastFactor, 1.0f);
      }
    }
  }

 protected:
  Grid GridOf(absl::Span<const Tensor> parameters,
              ExecutionContext& ctx) const override {
    if (!options_.learn_range) return {scales_, zeros_};
    return WithRange(parameters[1], parameters[2], ctx);
  }

  Tensor Codes(absl::Span<const Tensor> parameters, const Grid& grid,
               ExecutionContext& ctx) const override {
    return Rounded(ops::Add(ops::ToCodeUnits(weight_, grid.scales, grid.zeros,
                                             groups_, ctx),
                            parameters[0], ctx),
                   ctx);
  }

 private:
  // Below it a range has lost its weights for good.
  static constexpr float kLeastFactor = 0.05f;

  Tensor offsets_;
};

// Parameter: v [rows, cols].
class SigmoidRounding final : public LearnedRounding {
 public:
  SigmoidRounding(PackedIntWeights start, Tensor weight,
                  const LearnedOptions& options)
      : LearnedRounding(std::move(start), std::move(weight), options),
        floors_(Tensor::Uninitialized(by_weight())),
        initial_(Tensor::Uninitialized(by_weight())) {
    for (int64_t r = 0; r < start_.rows; ++r) {
      for (int64_t c = 0; c < start_.cols; ++c) {
        const int64_t g = groups_.Of(c);
        const float units =
            weight_.row(r)[c] / scales_.row(r)[g] + zeros_.row(r)[g];
        const float floor = std::floor(units);
        floors_.row(r)[c] = floor;
        // h(v) is the fraction: the weight itself.
        initial_.row(r)[c] = -std::log(1.2f / (units - floor + 0.1f) - 1.0f);
      }
    }
  }

  std::vector<Tensor> Parameters() const override { return {initial_.Clone()}; }

  Tensor Penalty(absl::Span<const Tensor> parameters, double progress,
                 ExecutionContext& ctx) const override {
    if (options_.penalty == 0 || progress < options_.penalty_start) return {};
    const double done =
        (progress - options_.penalty_start) / (1 - options_.penalty_start);
    const float beta =
        static_cast<float>(kFirstBeta + (kLastBeta - kFirstBeta) * done);
    return ops::Scale(ops::RoundingPenalty(
                          ops::RectifiedSigmoid(parameters[0], ctx), beta, ctx),
                      static_cast<float>(options_.penalty));
  }

 protected:
  Tensor Codes(absl::Span<const Tensor> parameters, const Grid& /*grid*/,
               ExecutionContext& ctx) const override {
    return ops::Clip(
        ops::Add(floors_, ops::RectifiedSigmoid(parameters[0], ctx), ctx), 0,
        top_, ctx);
  }

 private:
  static constexpr double kFirstBeta = 20;
  static constexpr double kLastBeta = 2;

  Tensor floors_;
  Tensor initial_;
};

// Parameters, logarithms: of the divisors [rows, cols], of the rows' [rows],
// then with the range of the scales' [rows, groups], relative to the solver's.
class DivisionRounding final : public LearnedRounding {
 public:
  using LearnedRounding::LearnedRounding;

  std::vector<Tensor> Parameters() const override {
    std::vector<Tensor> p = {Tensor::Zeros(by_weight()),
                             Tensor::Zeros({start_.rows})};
    if (options_.learn_range) p.push_back(Tensor::Zeros(by_group()));
    return p;
  }

  double LearningRateFactor(size_t parameter) const override {
    return parameter < 2 ? 1 : options_.range_rate;
  }

 protected:
  // Zero points stay.
  Grid GridOf(absl::Span<const Tensor> parameters,
              ExecutionContext& ctx) const override {
    if (!options_.learn_range) return {scales_, zeros_};
    return {Storable(ops::Multiply(scales_, ops::Exp(parameters[2], ctx), ctx),
                     ctx),
            zeros_};
  }

  Tensor Codes(absl::Span<const Tensor> parameters, const Grid& grid,
               ExecutionContext& ctx) const override {
    Tensor units =
        ops::ToCodeUnits(weight_, grid.scales, Tensor(), groups_, ctx);
    units = ops::Divide(units, ops::Exp(parameters[0], ctx), ctx);
    units = ops::ScaleRows(units, ops::Exp(ops::Scale(parameters[1], -1), ctx),
                           ctx);
    const Tensor ones = Filled(by_group(), 1);
    return Rounded(ops::ToCodeUnits(units, ones, grid.zeros, groups_, ctx),
                   ctx);
  }
};

// Parameters: what the sigmoids of the range's ends are taken of, [rows,
// groups] each.
class ClippingRounding final : public LearnedRounding {
 public:
  using LearnedRounding::LearnedRounding;

  std::vector<Tensor> Parameters() const override {
    return {Filled(by_group(), kInitial), Filled(by_group(), kInitial)};
  }

 protected:
  Grid GridOf(absl::Span<const Tensor> parameters,
              ExecutionContext& ctx) const override {
    return WithRange(ops::Activate(Activation::kSigmoid, parameters[0], ctx),
                     ops::Activate(Activation::kSigmoid, parameters[1], ctx),
                     ctx);
  }

  Tensor Codes(absl::Span<const Tensor> /*parameters*/, const Grid& grid,
               ExecutionContext& ctx) const override {
    return Rounded(
        ops::ToCodeUnits(weight_, grid.scales, grid.zeros, groups_, ctx), ctx);
  }

 private:
  // OmniQuant's reference code: sigmoid(4) = 0.982.
  static constexpr float kInitial = 4;
};

}  // namespace

absl::StatusOr<std::unique_ptr<TunableLinear>> NewLearnedRounding(
    const CompressedLinear& start, const Tensor& weight,
    const LearnedOptions& options) {
  std::optional<PackedIntWeights> codes = UnpackPackedInt(start);
  if (!codes.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        v1::TuneStage::Variable_Name(options.variable), " needs layout ",
        kPackedIntLayout, ", not ", start.layout()));
  }
  switch (options.variable) {
    case v1::TuneStage::SIGMOID:
      return std::make_unique<SigmoidRounding>(*std::move(codes), weight,
                                               options);
    case v1::TuneStage::DIVISION:
      return std::make_unique<DivisionRounding>(*std::move(codes), weight,
                                                options);
    case v1::TuneStage::CLIPPING:
      return std::make_unique<ClippingRounding>(*std::move(codes), weight,
                                                options);
    default:
      return std::make_unique<OffsetRounding>(*std::move(codes), weight,
                                              options);
  }
}

}  // namespace quantd
