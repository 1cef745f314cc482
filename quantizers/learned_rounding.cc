#include "quantizers/learned_rounding.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/float_formats.h"
#include "models/layouts/mixed_int.h"
#include "models/layouts/packed_int.h"
#include "tensor/estimators.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

// The smallest positive binary16 number, and the greatest.
constexpr float kLeastScale = 0x1p-24f;
constexpr float kGreatestScale = 65504.0f;

// Codes on an affine grid, of whichever layout. A group of one bit, mean +-
// alpha, has scale 2 alpha and zero point 0.5 - mean / (2 alpha), which is no
// whole number.
struct AffineCodes {
  int64_t rows = 0;
  int64_t cols = 0;
  ChannelGroups groups;
  bool symmetric = false;
  std::vector<uint8_t> codes;  // [rows, cols]
  Tensor scales;               // [rows, groups]
  Tensor zeros;                // likewise
  // Greatest code of every group and of every weight, and where groups have one
  // bit, as ones among zeros. Empty where all groups have the greatest code
  // `top`.
  float top = 0;
  Tensor group_tops;   // [rows, groups]
  Tensor weight_tops;  // [rows, cols]
  Tensor binary;       // [rows, groups]
  std::function<absl::StatusOr<std::shared_ptr<const CompressedLinear>>(
      const Tensor& codes, const Tensor& scales, const Tensor& zeros)>
      finish;

  float top_of(int64_t row, int64_t col) const {
    return weight_tops.size() == 0 ? top : weight_tops.row(row)[col];
  }
};

std::vector<uint8_t> ToCodes(const Tensor& t) {
  std::vector<uint8_t> codes(static_cast<size_t>(t.size()));
  for (size_t i = 0; i < codes.size(); ++i) {
    // Of NaN, which the layout refuses by its scale, the first.
    codes[i] = t.data()[i] > 0
                   ? static_cast<uint8_t>(std::floor(t.data()[i] + 0.5f))
                   : uint8_t{0};
  }
  return codes;
}

AffineCodes CodesOf(PackedIntWeights w) {
  const Shape by_group = {w.rows, w.groups()};
  AffineCodes result;
  result.rows = w.rows;
  result.cols = w.cols;
  result.groups = ChannelGroupsOf(w.group_size, w.group_index);
  result.symmetric = w.symmetric;
  result.codes = w.codes;
  result.scales = Tensor::FromValues(by_group, w.scales);
  result.zeros = ToFloats(w.zeros, by_group);
  result.top = static_cast<float>((1 << w.bits) - 1);
  result.finish = [w = std::move(w)](const Tensor& codes, const Tensor& scales,
                                     const Tensor& zeros) {
    PackedIntWeights learned = w;
    learned.scales = ToVector(scales);
    learned.codes = ToCodes(codes);
    learned.zeros = ToCodes(zeros);
    return NewPackedInt(std::move(learned));
  };
  return result;
}

AffineCodes CodesOf(MixedIntWeights w) {
  const Shape by_group = {w.rows, w.groups()};
  AffineCodes result;
  result.rows = w.rows;
  result.cols = w.cols;
  result.groups = ChannelGroupsOf(w.group_size, {});
  result.symmetric = w.symmetric;
  result.codes = w.codes;
  result.scales = Tensor::FromValues(by_group, w.scales);
  result.zeros = Tensor::Uninitialized(by_group);
  result.group_tops = Tensor::Uninitialized(by_group);
  result.binary = Tensor::Zeros(by_group);
  result.weight_tops = Tensor::Uninitialized({w.rows, w.cols});
  for (int64_t r = 0; r < w.rows; ++r) {
    for (int64_t g = 0; g < w.groups(); ++g) {
      const size_t at = static_cast<size_t>(r * w.groups() + g);
      const int bits = w.bits_of(r, g);
      const float top = static_cast<float>((1 << bits) - 1);
      result.group_tops.row(r)[g] = top;
      std::fill_n(result.weight_tops.row(r) + g * w.group_size, w.group_size,
                  top);
      if (bits == 1) {
        const float mean = w.symmetric ? 0.0f : w.means[at];
        result.binary.row(r)[g] = 1;
        result.scales.row(r)[g] *= 2;
        result.zeros.row(r)[g] = 0.5f - mean / result.scales.row(r)[g];
      } else {
        result.zeros.row(r)[g] = w.symmetric
                                     ? static_cast<float>(1 << (bits - 1))
                                     : static_cast<float>(w.zeros[at]);
      }
    }
  }
  result.finish = [w = std::move(w)](const Tensor& codes, const Tensor& scales,
                                     const Tensor& zeros) {
    MixedIntWeights learned = w;
    learned.codes = ToCodes(codes);
    learned.scales = ToVector(scales);
    for (size_t i = 0; i < learned.scales.size(); ++i) {
      const int64_t at = static_cast<int64_t>(i);
      const float zero = zeros.data()[i];
      if (w.bits_of(at / w.groups(), at % w.groups()) == 1) {
        if (!w.symmetric) {
          learned.means[i] =
              NearestF16(double{learned.scales[i]} * (0.5 - double{zero}));
        }
        learned.scales[i] = NearestF16(double{learned.scales[i]} / 2);
      } else if (!w.symmetric) {
        learned.zeros[i] =
            zero > 0 ? static_cast<uint8_t>(zero + 0.5f) : uint8_t{0};
      }
    }
    return NewMixedInt(std::move(learned));
  };
  return result;
}

// What all variables share: the grid that the solver left, the weight.
class LearnedRounding : public TunableLinear {
 public:
  LearnedRounding(AffineCodes start, Tensor weight,
                  const LearnedOptions& options)
      : start_(std::move(start)),
        weight_(std::move(weight)),
        options_(options),
        groups_(start_.groups) {
    if (start_.group_tops.size() == 0) return;
    inverse_tops_ = start_.group_tops.Clone();
    for (float& v : inverse_tops_.values()) v = 1 / v;
    wide_ = start_.binary.Clone();
    for (float& v : wide_.values()) v = 1 - v;
  }

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
    // Of a soft rounding the nearer side.
    return start_.finish(Codes(parameters, grid, ctx), grid.scales, grid.zeros);
  }

 protected:
  struct Grid {
    Tensor scales;  // exact in F16
    Tensor zeros;   // whole numbers, but of groups of one bit
  };

  virtual Grid GridOf(absl::Span<const Tensor> /*parameters*/,
                      ExecutionContext& /*ctx*/) const {
    return {start_.scales, start_.zeros};
  }
  virtual Tensor Codes(absl::Span<const Tensor> parameters, const Grid& grid,
                       ExecutionContext& ctx) const = 0;

  Shape by_group() const { return start_.scales.shape(); }
  Shape by_weight() const { return {start_.rows, start_.cols}; }

  static Tensor Filled(Shape shape, float value) {
    Tensor t = Tensor::Uninitialized(std::move(shape));
    std::fill(t.values().begin(), t.values().end(), value);
    return t;
  }

  // The weight in units of codes on the solver's grid.
  float UnitsOf(int64_t r, int64_t c) const {
    const int64_t g = groups_.Of(c);
    return weight_.row(r)[c] / start_.scales.row(r)[g] + start_.zeros.row(r)[g];
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
      return {Storable(ops::Multiply(start_.scales, upper, ctx), ctx),
              start_.zeros};
    }
    const bool mixed = start_.group_tops.size() > 0;
    Tensor greatest = Tensor::Uninitialized(by_group());
    Tensor least = Tensor::Uninitialized(by_group());
    for (int64_t i = 0; i < greatest.size(); ++i) {
      const float s = start_.scales.data()[i];
      const float z = start_.zeros.data()[i];
      const float top = mixed ? start_.group_tops.data()[i] : start_.top;
      greatest.data()[i] = s * (top - z);
      least.data()[i] = s * z;  // negated
    }
    const Tensor below = ops::Multiply(least, lower, ctx);
    const Tensor above = ops::Multiply(greatest, upper, ctx);
    const Tensor range = ops::Add(above, below, ctx);
    Grid grid;
    grid.scales = Storable(mixed ? ops::Multiply(range, inverse_tops_, ctx)
                                 : ops::Scale(range, 1 / start_.top),
                           ctx);
    const Tensor whole =
        ops::RoundStraightThrough(ops::Divide(below, grid.scales, ctx), ctx);
    if (!mixed) {
      grid.zeros = ops::Clip(whole, 0, start_.top, ctx);
      return grid;
    }
    grid.zeros =
        WithMeans(ops::ClipToTops(whole, start_.group_tops, ctx),
                  ops::Scale(ops::Add(above, ops::Scale(below, -1), ctx), 0.5f),
                  grid.scales, ctx);
    return grid;
  }

  // `zeros`, but of groups of one bit those of `means`, as these are stored.
  Tensor WithMeans(const Tensor& zeros, const Tensor& means,
                   const Tensor& scales, ExecutionContext& ctx) const {
    const Tensor stored = ops::RoundToF16StraightThrough(means, ctx);
    const Tensor middle =
        ops::Add(Filled(by_group(), 0.5f),
                 ops::Scale(ops::Divide(stored, scales, ctx), -1), ctx);
    return ops::Add(ops::Multiply(zeros, wide_, ctx),
                    ops::Multiply(middle, start_.binary, ctx), ctx);
  }

  Tensor Clipped(const Tensor& codes, ExecutionContext& ctx) const {
    return start_.weight_tops.size() == 0
               ? ops::Clip(codes, 0, start_.top, ctx)
               : ops::ClipToTops(codes, start_.weight_tops, ctx);
  }

  Tensor Rounded(const Tensor& code_units, ExecutionContext& ctx) const {
    return Clipped(ops::RoundStraightThrough(code_units, ctx), ctx);
  }

  const AffineCodes start_;
  const Tensor weight_;
  const LearnedOptions options_;
  const ChannelGroups groups_;
  // Of groups of several widths.
  Tensor inverse_tops_;
  Tensor wide_;  // 1 - binary
};

// Parameters: offsets [rows, cols], then with the range its ends' factors
// [rows, groups].
class OffsetRounding final : public LearnedRounding {
 public:
  OffsetRounding(AffineCodes start, Tensor weight,
                 const LearnedOptions& options)
      : LearnedRounding(std::move(start), std::move(weight), options),
        offsets_(Tensor::Zeros(by_weight())) {
    // A weight that the solver did not round to its nearest code begins in the
    // middle of the code it got.
    for (int64_t r = 0; r < start_.rows; ++r) {
      for (int64_t c = 0; c < start_.cols; ++c) {
        const float units = UnitsOf(r, c);
        const float nearest =
            std::clamp(std::nearbyint(units), 0.0f, start_.top_of(r, c));
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
    if (!options_.learn_range) return {start_.scales, start_.zeros};
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
  SigmoidRounding(AffineCodes start, Tensor weight,
                  const LearnedOptions& options)
      : LearnedRounding(std::move(start), std::move(weight), options),
        floors_(Tensor::Uninitialized(by_weight())),
        initial_(Tensor::Uninitialized(by_weight())) {
    for (int64_t r = 0; r < start_.rows; ++r) {
      for (int64_t c = 0; c < start_.cols; ++c) {
        const float units = UnitsOf(r, c);
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
    return Clipped(
        ops::Add(floors_, ops::RectifiedSigmoid(parameters[0], ctx), ctx), ctx);
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
    if (!options_.learn_range) return {start_.scales, start_.zeros};
    const Tensor scales = Storable(
        ops::Multiply(start_.scales, ops::Exp(parameters[2], ctx), ctx), ctx);
    if (start_.binary.size() == 0) return {scales, start_.zeros};
    Tensor middles = start_.zeros.Clone();
    for (float& v : middles.values()) v = 0.5f - v;
    return {scales, WithMeans(start_.zeros, ops::Multiply(scales, middles, ctx),
                              scales, ctx)};
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
  AffineCodes codes;
  if (std::optional<PackedIntWeights> packed = UnpackPackedInt(start)) {
    codes = CodesOf(*std::move(packed));
  } else if (std::optional<MixedIntWeights> mixed = UnpackMixedInt(start)) {
    codes = CodesOf(*std::move(mixed));
  } else {
    return absl::InvalidArgumentError(absl::StrCat(
        v1::TuneStage::Variable_Name(options.variable), " needs layout ",
        kPackedIntLayout, " or ", kMixedIntLayout, ", not ", start.layout()));
  }
  switch (options.variable) {
    case v1::TuneStage::SIGMOID:
      return std::make_unique<SigmoidRounding>(std::move(codes), weight,
                                               options);
    case v1::TuneStage::DIVISION:
      return std::make_unique<DivisionRounding>(std::move(codes), weight,
                                                options);
    case v1::TuneStage::CLIPPING:
      return std::make_unique<ClippingRounding>(std::move(codes), weight,
                                                options);
    default:
      return std::make_unique<OffsetRounding>(std::move(codes), weight,
                                              options);
  }
}

}  // namespace quantd
