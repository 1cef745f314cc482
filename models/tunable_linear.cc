#include "models/tunable_linear.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace quantd {
namespace {

using Freezer =
    std::function<absl::StatusOr<std::shared_ptr<const CompressedLinear>>(
        const StoredParameters&)>;

using Chooser =
    std::function<std::unique_ptr<CodeChoice>(const StoredParameters&)>;

class StoredParametersTunable final : public TunableLinear {
 public:
  StoredParametersTunable(StoredParameters start, Freezer freeze,
                          Chooser choose)
      : start_(std::move(start)),
        freeze_(std::move(freeze)),
        choose_(std::move(choose)) {}

  std::vector<Tensor> Parameters() const override {
    std::vector<Tensor> result;
    StoredParameters copy = start_;
    ForEachTrained(copy, [&](Tensor& t, bool) { result.push_back(t.Clone()); });
    return result;
  }

  Tensor Weight(absl::Span<const Tensor> parameters,
                ExecutionContext& ctx) const override {
    const StoredParameters p = Stored(parameters, ctx);
    const Tensor values =
        p.indices == nullptr
            ? p.values
            : ops::GatherValues(p.table, p.indices, {p.rows, p.cols}, ctx);
    if (p.scales.size() == 0) return values;
    return ops::FromCodeUnits(values, p.scales, p.zeros, p.groups, ctx);
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Freeze(
      absl::Span<const Tensor> parameters,
      ExecutionContext& ctx) const override {
    return freeze_(Stored(parameters, ctx));
  }

  std::unique_ptr<CodeChoice> Codes(absl::Span<const Tensor> parameters,
                                    ExecutionContext& ctx) const override {
    return choose_ == nullptr ? nullptr : choose_(Stored(parameters, ctx));
  }

 private:
  // Calls visit(tensor, stored in F16) for what is trained.
  template <typename Visit>
  static void ForEachTrained(StoredParameters& p, Visit visit) {
    if (p.indices != nullptr) visit(p.table, p.table_in_f16);
    if (p.scales.size() > 0) visit(p.scales, true);
    if (p.train_zeros) visit(p.zeros, true);
  }

  // With `parameters` as they are stored.
  StoredParameters Stored(absl::Span<const Tensor> parameters,
                          ExecutionContext& ctx) const {
    StoredParameters p = start_;
    size_t i = 0;
    ForEachTrained(p, [&](Tensor& t, bool f16) {
      const Tensor& value = parameters[i++];
      t = f16 ? ops::RoundToF16StraightThrough(value, ctx) : value;
    });
    return p;
  }

  const StoredParameters start_;
  const Freezer freeze_;
  const Chooser choose_;
};

using Forward = std::function<Tensor(const Tensor&, ExecutionContext&)>;
using Wrap =
    std::function<absl::StatusOr<std::shared_ptr<const CompressedLinear>>(
        std::shared_ptr<const CompressedLinear>)>;

class WrappedTunable final : public TunableLinear {
 public:
  WrappedTunable(std::unique_ptr<TunableLinear> base, Forward forward,
                 Wrap wrap)
      : base_(std::move(base)),
        forward_(std::move(forward)),
        wrap_(std::move(wrap)) {}

  std::vector<Tensor> Parameters() const override {
    return base_->Parameters();
  }

  double LearningRateFactor(size_t parameter) const override {
    return base_->LearningRateFactor(parameter);
  }

  Tensor Weight(absl::Span<const Tensor> parameters,
                ExecutionContext& ctx) const override {
    return forward_(base_->Weight(parameters, ctx), ctx);
  }

  Tensor Penalty(absl::Span<const Tensor> parameters, double progress,
                 ExecutionContext& ctx) const override {
    return base_->Penalty(parameters, progress, ctx);
  }

  void Project(absl::Span<Tensor> parameters) const override {
    base_->Project(parameters);
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Freeze(
      absl::Span<const Tensor> parameters,
      ExecutionContext& ctx) const override {
    ASSIGN_OR_RETURN(auto base, base_->Freeze(parameters, ctx));
    return wrap_(std::move(base));
  }

 private:
  const std::unique_ptr<TunableLinear> base_;
  const Forward forward_;
  const Wrap wrap_;
};

}  // namespace

ChannelGroups ChannelGroupsOf(int64_t group_size,
                              const std::vector<int32_t>& group_index) {
  ChannelGroups groups;
  groups.group_size = group_size;
  if (!group_index.empty()) {
    groups.group_of = std::make_shared<const std::vector<int32_t>>(group_index);
  }
  return groups;
}

Tensor ToFloats(const std::vector<uint8_t>& values, Shape shape) {
  Tensor t = Tensor::Uninitialized(std::move(shape));
  std::copy(values.begin(), values.end(), t.data());
  return t;
}

std::vector<float> ToVector(const Tensor& tensor) {
  return {tensor.values().begin(), tensor.values().end()};
}

std::unique_ptr<TunableLinear> NewTunable(StoredParameters parameters,
                                          Freezer freeze, Chooser choose) {
  return std::make_unique<StoredParametersTunable>(
      std::move(parameters), std::move(freeze), std::move(choose));
}

ScalarCodes ScalarCodesOf(const StoredParameters& stored,
                          std::vector<uint8_t> codes) {
  ScalarCodes result;
  result.rows = stored.rows;
  result.cols = stored.cols;
  result.codes = std::move(codes);
  result.scales = stored.scales;
  result.zeros = stored.zeros;
  result.groups = stored.groups;
  return result;
}

std::unique_ptr<TunableLinear> WrapTunable(std::unique_ptr<TunableLinear> base,
                                           Forward forward, Wrap wrap) {
  if (base == nullptr) return nullptr;
  return std::make_unique<WrappedTunable>(std::move(base), std::move(forward),
                                          std::move(wrap));
}

}  // namespace quantd
