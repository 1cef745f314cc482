#include "evaluators/unit_exchange.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "models/checkpoint.h"
#include "models/model_footprint.h"

namespace quantd {
namespace {

absl::Status Inexchangeable(const Model& target, const Model& baseline,
                            absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(
      "parts of ", target.checkpoint().directory(), " and ",
      baseline.checkpoint().directory(), " cannot be exchanged: ", what));
}

// Tensors that no unit carries must be equal, byte for byte: what surrounds a
// unit is taken from either model.
absl::Status CheckEqualTensors(const Model& target, const Model& baseline,
                               const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const StoredTensor* a, target.checkpoint().Find(name));
    const absl::StatusOr<const StoredTensor*> found =
        baseline.checkpoint().Find(name);
    if (!found.ok()) {
      return Inexchangeable(target, baseline,
                            absl::StrCat("only one has ", name));
    }
    const StoredTensor* b = *found;
    const bool equal =
        a->dtype == b->dtype && a->shape == b->shape && a->bytes == b->bytes;
    target.checkpoint().Release(*a);
    baseline.checkpoint().Release(*b);
    if (!equal) {
      return Inexchangeable(
          target, baseline,
          absl::StrCat(name,
                       " differs, so that their layers work on different "
                       "representations"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSameLayers(const Model& target, const Model& baseline,
                             Block& a, Block& b) {
  const absl::Span<Linear> x = a.linears();
  const absl::Span<Linear> y = b.linears();
  if (x.size() != y.size()) {
    return Inexchangeable(target, baseline,
                          absl::StrCat(a.name(), " has ", x.size(),
                                       " linear layers and ", y.size()));
  }
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i].name() == y[i].name() && x[i].rows() == y[i].rows() &&
        x[i].cols() == y[i].cols()) {
      continue;
    }
    return Inexchangeable(
        target, baseline,
        absl::StrCat("layer ", x[i].name(), " [", x[i].rows(), ", ",
                     x[i].cols(), "] meets ", y[i].name(), " [", y[i].rows(),
                     ", ", y[i].cols(), "]"));
  }
  return absl::OkStatus();
}

// Adds a layer to its unit; `float_bits` are those of a stored weight in
// floating point.
void AddLayer(const Linear& layer, double float_bits, ExchangeUnit* unit) {
  const double weights =
      static_cast<double>(layer.rows()) * static_cast<double>(layer.cols());
  const double bits = layer.compressed() != nullptr
                          ? layer.compressed()->bits_per_weight()
                          : float_bits;
  const double before = static_cast<double>(unit->weights);
  unit->bits_per_weight =
      (unit->bits_per_weight * before + bits * weights) / (before + weights);
  unit->weights += static_cast<uint64_t>(weights);
  unit->compressed = unit->compressed || layer.compressed() != nullptr;
}

absl::StatusOr<std::vector<Tensor>> RunAll(
    absl::Span<const std::unique_ptr<Block>> blocks, const Tensor& hidden,
    const SequenceBatch& batch, ExecutionContext& ctx) {
  std::vector<Tensor> boundaries = {hidden};
  for (const std::unique_ptr<Block>& block : blocks) {
    ASSIGN_OR_RETURN(Tensor out, block->Forward(boundaries.back(), batch, ctx));
    boundaries.push_back(std::move(out));
  }
  return boundaries;
}

}  // namespace

absl::StatusOr<UnitExchange> UnitExchange::Load(
    const Model& target, const Model& baseline,
    v1::AttributionGranularity granularity, ExecutionContext& ctx) {
  const ModelDescription& description = target.description();
  if (!description.predicts_next_token) {
    return absl::InvalidArgumentError(absl::StrCat(
        target.checkpoint().directory(), ": ", description.architecture,
        " predicts masked tokens, not the next one, and has no "
        "likelihood of a text"));
  }
  if (target.block_count() != baseline.block_count()) {
    return Inexchangeable(
        target, baseline,
        absl::StrCat("they have ", target.block_count(), " and ",
                     baseline.block_count(), " blocks"));
  }
  RETURN_IF_ERROR(CheckEqualTensors(target, baseline, target.OtherTensors()));
  const double float_bits =
      8.0 * static_cast<double>(
                FootprintOf(target.checkpoint(), description).weight_bytes);
  UnitExchange exchange;
  for (int k = 0; k < target.block_count(); ++k) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ASSIGN_OR_RETURN(std::unique_ptr<Block> a, target.LoadBlock(k, ctx));
    ASSIGN_OR_RETURN(std::unique_ptr<Block> b, baseline.LoadBlock(k, ctx));
    RETURN_IF_ERROR(CheckSameLayers(target, baseline, *a, *b));
    const absl::Span<Linear> layers = a->linears();
    if (granularity == v1::ATTRIBUTE_LAYERS) {
      // A block carries its norms and biases along, a layer does not.
      RETURN_IF_ERROR(CheckEqualTensors(target, baseline, a->OtherTensors()));
      for (size_t i = 0; i < layers.size(); ++i) {
        ExchangeUnit unit;
        unit.block = k;
        unit.layer = static_cast<int>(i);
        unit.name = layers[i].name();
        AddLayer(layers[i], float_bits, &unit);
        exchange.units_.push_back(std::move(unit));
      }
    } else {
      ExchangeUnit unit;
      unit.block = k;
      unit.name = a->name();
      for (const Linear& layer : layers) AddLayer(layer, float_bits, &unit);
      exchange.units_.push_back(std::move(unit));
    }
    exchange.target_.push_back(std::move(a));
    exchange.baseline_.push_back(std::move(b));
  }
  return exchange;
}

absl::StatusOr<std::vector<Tensor>> UnitExchange::RunTarget(
    const Tensor& hidden, const SequenceBatch& batch, ExecutionContext& ctx) {
  return RunAll(target_, hidden, batch, ctx);
}

absl::StatusOr<std::vector<Tensor>> UnitExchange::RunBaseline(
    const Tensor& hidden, const SequenceBatch& batch, ExecutionContext& ctx) {
  return RunAll(baseline_, hidden, batch, ctx);
}

absl::StatusOr<Tensor> UnitExchange::RunAlone(
    const ExchangeUnit& unit, const std::vector<Tensor>& boundaries,
    const SequenceBatch& batch, ExecutionContext& ctx) {
  return Run(baseline_, target_, unit, boundaries, batch, ctx);
}

absl::StatusOr<Tensor> UnitExchange::RunRestored(
    const ExchangeUnit& unit, const std::vector<Tensor>& boundaries,
    const SequenceBatch& batch, ExecutionContext& ctx) {
  return Run(target_, baseline_, unit, boundaries, batch, ctx);
}

absl::StatusOr<Tensor> UnitExchange::Run(Blocks& own, Blocks& other,
                                         const ExchangeUnit& unit,
                                         const std::vector<Tensor>& boundaries,
                                         const SequenceBatch& batch,
                                         ExecutionContext& ctx) {
  const size_t first = static_cast<size_t>(unit.block);
  const auto through_unit = [&]() -> absl::StatusOr<Tensor> {
    if (unit.layer < 0) {
      return other[first]->Forward(boundaries[first], batch, ctx);
    }
    const size_t layer = static_cast<size_t>(unit.layer);
    Linear& mine = own[first]->linears()[layer];
    Linear& theirs = other[first]->linears()[layer];
    std::swap(mine, theirs);
    absl::StatusOr<Tensor> out =
        own[first]->Forward(boundaries[first], batch, ctx);
    std::swap(mine, theirs);
    return out;
  };
  ASSIGN_OR_RETURN(Tensor hidden, through_unit());
  for (size_t k = first + 1; k < own.size(); ++k) {
    ASSIGN_OR_RETURN(hidden, own[k]->Forward(hidden, batch, ctx));
  }
  return hidden;
}

}  // namespace quantd
