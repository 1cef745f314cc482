#include "quantizers/learned_mapping.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/layouts/grouped_codebook.h"
#include "models/layouts/row_codebook.h"
#include "tensor/estimators.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

// In mean gaps: small against what a step is to decide.
constexpr float kLead = 0.1f;

// What both layouts are.
struct MappedWeights {
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<uint8_t> codes;                            // [rows, cols]
  Tensor tables;                                         // [tables, 2^bits]
  std::shared_ptr<const std::vector<int32_t>> table_of;  // [rows]
  Tensor scales;                                         // [rows], or empty
};

// Of tables, codes and scales that were learned; the rest is as it was.
using Freezer =
    std::function<absl::StatusOr<std::shared_ptr<const CompressedLinear>>(
        MappedWeights)>;

class LearnedMapping final : public TunableLinear {
 public:
  LearnedMapping(MappedWeights start, Tensor weight,
                 const LearnedOptions& options, Freezer freeze)
      : start_(std::move(start)),
        weight_(std::move(weight)),
        options_(options),
        freeze_(std::move(freeze)),
        gaps_(Gaps()) {}

  std::vector<Tensor> Parameters() const override {
    std::vector<Tensor> p = {Logits()};
    if (!options_.learn_range) return p;
    Tensor tables = start_.tables.Clone();
    for (int64_t t = 0; t < tables.rows(); ++t) {
      for (int64_t k = 0; k < entries(); ++k) {
        tables.row(t)[k] /= gaps_.data()[t];
      }
    }
    p.push_back(std::move(tables));
    if (start_.scales.size() > 0) p.push_back(Tensor::Zeros({start_.rows}));
    return p;
  }

  double LearningRateFactor(size_t parameter) const override {
    return parameter == 0 ? 1 : options_.range_rate;
  }

  Tensor Weight(absl::Span<const Tensor> parameters,
                ExecutionContext& ctx) const override {
    const Range range = RangeOf(parameters, ctx);
    const Tensor values = ops::SelectEntries(
        parameters[0], range.tables, start_.table_of, start_.cols,
        options_.mapping_rule == v1::TuneStage::SOFTMAX
            ? ops::ChoiceRule::kSoftmax
            : ops::ChoiceRule::kProximal,
        ctx);
    if (range.scales.size() == 0) return values;
    return ops::ScaleRows(values, range.scales, ctx);
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Freeze(
      absl::Span<const Tensor> parameters,
      ExecutionContext& ctx) const override {
    const Tensor& logits = parameters[0];
    for (const float logit : logits.values()) {
      if (!std::isfinite(logit)) {
        return absl::InvalidArgumentError("a logit is not finite");
      }
    }
    const Range range = RangeOf(parameters, ctx);
    MappedWeights result = start_;
    for (size_t i = 0; i < result.codes.size(); ++i) {
      result.codes[i] = static_cast<uint8_t>(
          ops::FirstGreatest(logits.row(static_cast<int64_t>(i)), entries()));
    }
    result.tables = range.tables;
    result.scales = range.scales;
    return freeze_(std::move(result));
  }

 private:
  // As they are stored.
  struct Range {
    Tensor tables;
    Tensor scales;
  };

  int64_t entries() const { return start_.tables.cols(); }

  Tensor Gaps() const {
    Tensor gaps = Tensor::Uninitialized({start_.tables.rows()});
    for (int64_t t = 0; t < gaps.size(); ++t) {
      gaps.data()[t] = ops::MeanGap(start_.tables.row(t), entries());
    }
    return gaps;
  }

  Tensor Logits() const {
    Tensor logits =
        Tensor::Uninitialized({start_.rows * start_.cols, entries()});
    for (int64_t r = 0; r < start_.rows; ++r) {
      const int64_t t = (*start_.table_of)[static_cast<size_t>(r)];
      const float* const table = start_.tables.row(t);
      const float gap = gaps_.data()[t];
      const float scale =
          start_.scales.size() > 0 ? start_.scales.data()[r] : 1.0f;
      for (int64_t c = 0; c < start_.cols; ++c) {
        const int64_t i = r * start_.cols + c;
        // A row of scale zero is zero whatever it takes.
        const float w = scale == 0 ? 0.0f : weight_.row(r)[c] / scale;
        float* const of_weight = logits.row(i);
        for (int64_t k = 0; k < entries(); ++k) {
          of_weight[k] = -std::abs(w - table[k]) / gap;
        }
        const int64_t code = start_.codes[static_cast<size_t>(i)];
        const int64_t greatest = ops::FirstGreatest(of_weight, entries());
        if (greatest != code) of_weight[code] = of_weight[greatest] + kLead;
      }
    }
    return logits;
  }

  Range RangeOf(absl::Span<const Tensor> parameters,
                ExecutionContext& ctx) const {
    if (!options_.learn_range) return {start_.tables, start_.scales};
    Range range;
    range.tables = ops::RoundToF16StraightThrough(
        ops::ScaleRows(parameters[1], gaps_, ctx), ctx);
    if (start_.scales.size() > 0) {
      range.scales = ops::RoundToF16StraightThrough(
          ops::Multiply(start_.scales, ops::Exp(parameters[2], ctx), ctx), ctx);
    }
    return range;
  }

  const MappedWeights start_;
  const Tensor weight_;
  const LearnedOptions options_;
  const Freezer freeze_;
  const Tensor gaps_;  // [tables]
};

std::unique_ptr<TunableLinear> OfRows(RowCodebookWeights layer,
                                      const Tensor& weight,
                                      const LearnedOptions& options) {
  MappedWeights start;
  start.rows = layer.rows;
  start.cols = layer.cols;
  start.codes = std::move(layer.codes);
  start.tables = Tensor::FromValues({layer.rows, int64_t{1} << layer.bits},
                                    std::move(layer.codebook));
  auto table_of =
      std::make_shared<std::vector<int32_t>>(static_cast<size_t>(layer.rows));
  std::iota(table_of->begin(), table_of->end(), 0);
  start.table_of = std::move(table_of);
  const int bits = layer.bits;
  return std::make_unique<LearnedMapping>(
      std::move(start), weight, options, [bits](MappedWeights learned) {
        RowCodebookWeights result;
        result.rows = learned.rows;
        result.cols = learned.cols;
        result.bits = bits;
        result.codes = std::move(learned.codes);
        result.codebook = ToVector(learned.tables);
        return NewRowCodebook(std::move(result));
      });
}

std::unique_ptr<TunableLinear> OfGroups(GroupedCodebookWeights layer,
                                        const Tensor& weight,
                                        const LearnedOptions& options) {
  MappedWeights start;
  start.rows = layer.rows;
  start.cols = layer.cols;
  start.codes = std::move(layer.codes);
  start.tables = Tensor::FromValues({layer.groups, int64_t{1} << layer.bits},
                                    std::move(layer.codebooks));
  start.table_of =
      std::make_shared<const std::vector<int32_t>>(std::move(layer.row_groups));
  start.scales = Tensor::FromValues({layer.rows}, std::move(layer.scales));
  const int bits = layer.bits;
  return std::make_unique<LearnedMapping>(
      std::move(start), weight, options, [bits](MappedWeights learned) {
        GroupedCodebookWeights result;
        result.rows = learned.rows;
        result.cols = learned.cols;
        result.bits = bits;
        result.groups = learned.tables.rows();
        result.codes = std::move(learned.codes);
        result.codebooks = ToVector(learned.tables);
        result.row_groups = *learned.table_of;
        result.scales = ToVector(learned.scales);
        return NewGroupedCodebook(std::move(result));
      });
}

}  // namespace

absl::StatusOr<std::unique_ptr<TunableLinear>> NewLearnedMapping(
    const CompressedLinear& start, const Tensor& weight,
    const LearnedOptions& options) {
  if (auto layer = UnpackRowCodebook(start); layer.has_value()) {
    return OfRows(*std::move(layer), weight, options);
  }
  if (auto layer = UnpackGroupedCodebook(start); layer.has_value()) {
    return OfGroups(*std::move(layer), weight, options);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(v1::TuneStage::Variable_Name(options.variable),
                   " needs layout ", kRowCodebookLayout, " or ",
                   kGroupedCodebookLayout, ", not ", start.layout()));
}

}  // namespace quantd
