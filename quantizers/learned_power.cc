#include "quantizers/learned_power.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/layouts/lookup_table.h"
#include "quantizers/affine_grid.h"
#include "quantizers/grids/power.h"
#include "tensor/estimators.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

// Below it, unless the solver was there, all but the largest codes lie next to
// zero.
constexpr float kLeastExponent = 0.2f;

// Of a table's value from that of its exponent: binary32, rounded twice.
constexpr double kTableTolerance = 1e-5;

class LearnedPower final : public TunableLinear {
 public:
  LearnedPower(LookupTableWeights start, float exponent, Tensor weight,
               const LearnedOptions& options)
      : start_(std::move(start)),
        weight_(std::move(weight)),
        options_(options),
        groups_(ChannelGroupsOf(start_.group_size, start_.group_index)),
        half_(1 << (start_.bits - 1)),
        exponent_(exponent),
        start_values_(
            std::make_shared<const std::vector<float>>(start_.values)),
        ranges_(Ranges()),
        offsets_(Offsets()) {}

  std::vector<Tensor> Parameters() const override {
    std::vector<Tensor> p = {offsets_.Clone()};
    if (options_.learn_range) p.push_back(Tensor::FromValues({1}, {exponent_}));
    return p;
  }

  double LearningRateFactor(size_t parameter) const override {
    return parameter == 0 ? 1 : options_.range_rate;
  }

  Tensor Weight(absl::Span<const Tensor> parameters,
                ExecutionContext& ctx) const override {
    const Tensor exponent = ExponentOf(parameters);
    const Grid grid = GridOf(exponent.data()[0]);
    return ops::FromPowerUnits(Units(parameters, exponent, grid, ctx),
                               grid.scales, grid.values, exponent, groups_,
                               ctx);
  }

  void Project(absl::Span<Tensor> parameters) const override {
    // A group of zeros has no range: whatever its offsets, it stays zero.
    for (int64_t r = 0; r < start_.rows; ++r) {
      for (int64_t c = 0; c < start_.cols; ++c) {
        if (ranges_[group(r, c)] == 0) {
          parameters[0].row(r)[c] = offsets_.row(r)[c];
        }
      }
    }
    if (parameters.size() < 2) return;
    float& a = parameters[1].data()[0];
    a = std::clamp(a, std::min(kLeastExponent, exponent_), 1.0f);
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Freeze(
      absl::Span<const Tensor> parameters,
      ExecutionContext& ctx) const override {
    const Tensor exponent = ExponentOf(parameters);
    const Grid grid = GridOf(exponent.data()[0]);
    const Tensor units = Units(parameters, exponent, grid, ctx);
    LookupTableWeights result = start_;
    for (int64_t i = 0; i < units.size(); ++i) {
      const float u = units.data()[i];
      if (std::isnan(u)) {
        return absl::InvalidArgumentError("an offset is not a number");
      }
      result.codes[static_cast<size_t>(i)] =
          static_cast<uint8_t>(Code(u) + static_cast<float>(half_));
    }
    result.values = *grid.values;
    result.scales = ToVector(grid.scales);
    return NewLookupTable(std::move(result));
  }

 private:
  // What an exponent makes of the ranges.
  struct Grid {
    std::shared_ptr<const std::vector<float>> values;  // [2^bits]
    Tensor scales;  // [rows, groups], exact in F16
  };

  size_t group(int64_t r, int64_t c) const {
    return static_cast<size_t>(r * start_.groups() + groups_.Of(c));
  }

  float Code(float units) const {
    const float half = static_cast<float>(half_);
    return std::clamp(std::nearbyint(units), -half, half - 1);
  }

  // max|w| by group, or the range that the solver shrank it to: the one whose
  // scale is stored.
  std::vector<double> Ranges() const {
    std::vector<double> ranges(start_.scales.size(), 0.0);
    for (int64_t r = 0; r < start_.rows; ++r) {
      for (int64_t c = 0; c < start_.cols; ++c) {
        double& range = ranges[group(r, c)];
        range = std::max(range, double{std::abs(weight_.row(r)[c])});
      }
    }
    const double reach = start_.values.back();
    for (size_t i = 0; i < ranges.size(); ++i) {
      if (ranges[i] > 0 &&
          StorableScale(ranges[i] / reach) != start_.scales[i]) {
        ranges[i] = start_.scales[i] * reach;
      }
    }
    return ranges;
  }

  Tensor Offsets() const {
    Tensor offsets = Tensor::Zeros({start_.rows, start_.cols});
    for (int64_t r = 0; r < start_.rows; ++r) {
      for (int64_t c = 0; c < start_.cols; ++c) {
        // As ops::ToPowerUnits() has it.
        const float one =
            start_.scales[group(r, c)] * ValueOfOne(start_.values);
        const float w = weight_.row(r)[c];
        const float units = static_cast<float>(std::copysign(
            std::pow(double{std::abs(w) / one}, double{exponent_}), w));
        const float code = static_cast<float>(
            start_.codes[static_cast<size_t>(r * start_.cols + c)] - half_);
        // A weight that the solver did not round to its nearest code begins in
        // the middle of the code it got.
        if (code != Code(units)) offsets.row(r)[c] = code - units;
      }
    }
    return offsets;
  }

  float ValueOfOne(const std::vector<float>& values) const {
    return values[static_cast<size_t>(half_ + 1)];
  }

  Tensor ExponentOf(absl::Span<const Tensor> parameters) const {
    return options_.learn_range ? parameters[1]
                                : Tensor::FromValues({1}, {exponent_});
  }

  Grid GridOf(float exponent) const {
    const Shape shape = {start_.rows, start_.groups()};
    // The solver's own, which has the exponent in more digits.
    if (exponent == exponent_) {
      return {start_values_, Tensor::FromValues(shape, start_.scales)};
    }
    Grid grid;
    grid.values = std::make_shared<const std::vector<float>>(
        PowerValues(start_.bits, exponent, PowerRounding::kPower).values());
    grid.scales = Tensor::FromValues(shape, start_.scales);
    const double reach = grid.values->back();
    for (size_t i = 0; i < ranges_.size(); ++i) {
      if (ranges_[i] > 0) {
        grid.scales.values()[i] = StorableScale(ranges_[i] / reach);
      }
    }
    return grid;
  }

  Tensor Units(absl::Span<const Tensor> parameters, const Tensor& exponent,
               const Grid& grid, ExecutionContext& ctx) const {
    const Tensor ones = ops::Scale(grid.scales, ValueOfOne(*grid.values));
    return ops::Add(
        ops::ToPowerUnits(weight_, ones, exponent,
                          static_cast<float>(half_ - 1), groups_, ctx),
        parameters[0], ctx);
  }

  const LookupTableWeights start_;
  const Tensor weight_;
  const LearnedOptions options_;
  const ChannelGroups groups_;
  const int half_;        // 2^(bits - 1)
  const float exponent_;  // of the solver's grid
  const std::shared_ptr<const std::vector<float>> start_values_;
  const std::vector<double> ranges_;  // [rows, groups]; 0: a group of zeros
  const Tensor offsets_;
};

}  // namespace

std::optional<double> ExponentOfPowerValues(const std::vector<float>& values) {
  // One bit has no code but 0 that a positive weight could take.
  if (values.size() < 4) return std::nullopt;
  const size_t half = values.size() / 2;
  const double one = values[half + 1];
  const double most = -double{values[0]};
  // Exponents from nearly 0 to 1.
  if (!(one > 0) || !(most > one)) return std::nullopt;
  const double exponent =
      std::log(static_cast<double>(half)) / std::log(most / one);
  for (size_t i = 0; i < values.size(); ++i) {
    const double code = static_cast<double>(i) - static_cast<double>(half);
    const double expected =
        std::copysign(one * std::pow(std::abs(code), 1 / exponent), code);
    if (!(std::abs(values[i] - expected) <=
          kTableTolerance * std::abs(expected))) {
      return std::nullopt;
    }
  }
  return exponent;
}

absl::StatusOr<std::unique_ptr<TunableLinear>> NewLearnedPower(
    const CompressedLinear& start, const Tensor& weight,
    const LearnedOptions& options) {
  std::optional<LookupTableWeights> layer = UnpackLookupTable(start);
  if (!layer.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        v1::TuneStage::Variable_Name(options.variable), " needs layout ",
        kLookupTableLayout, ", not ", start.layout()));
  }
  const std::optional<double> exponent =
      layer->table.empty() ? ExponentOfPowerValues(layer->values)
                           : std::nullopt;
  if (!exponent.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        v1::TuneStage::Variable_Name(options.variable),
        " needs the table of a power grid, not ",
        layer->table.empty() ? "another stored one" : layer->table));
  }
  return std::make_unique<LearnedPower>(
      *std::move(layer), static_cast<float>(*exponent), weight, options);
}

}  // namespace quantd
