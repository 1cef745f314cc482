// TunableLinear: a compressed layer as gradient descent sees it, a weight that
// is a differentiable function of parameters: its scales, zero points, table
// entries and factors while the codes stay (CompressedLinear::Tunable), or
// what decides the codes (quantizers/learned_layers.h).
//
//   std::vector<Tensor> p = tunable->Parameters();
//   ... watch p, use tunable->Weight(p, ctx), change p ...
//   ASSIGN_OR_RETURN(compressed, tunable->Freeze(p, ctx));
//
// Immutable and thread-safe.
#ifndef QUANTD_MODELS_TUNABLE_LINEAR_H_
#define QUANTD_MODELS_TUNABLE_LINEAR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "models/code_choice.h"
#include "models/compressed_linear.h"
#include "tensor/estimators.h"
#include "tensor/tensor.h"

namespace quantd {

class TunableLinear {
 public:
  virtual ~TunableLinear() = default;

  // The values to begin with; the order is that of all `parameters` below.
  virtual std::vector<Tensor> Parameters() const = 0;

  // The factor of the learning rate of a parameter.
  virtual double LearningRateFactor(size_t /*parameter*/) const { return 1; }

  // The weight [rows, cols] that `parameters` stand for, tracked where they
  // are.
  virtual Tensor Weight(absl::Span<const Tensor> parameters,
                        ExecutionContext& ctx) const = 0;

  // What is added to the loss when the share `progress`, 0..1, of the steps is
  // done: one number, or an empty tensor.
  virtual Tensor Penalty(absl::Span<const Tensor> /*parameters*/,
                         double /*progress*/, ExecutionContext& /*ctx*/) const {
    return Tensor();
  }

  // Brings parameters back to where they may be, after a step.
  virtual void Project(absl::Span<Tensor> /*parameters*/) const {}

  // The codes, to be chosen anew with `parameters` as they are stored. Null
  // where they are not free: they are learned, or they stay.
  virtual std::unique_ptr<CodeChoice> Codes(
      absl::Span<const Tensor> /*parameters*/,
      ExecutionContext& /*ctx*/) const {
    return nullptr;
  }

  // The layer with `parameters`, in the layout it had. InvalidArgument when a
  // value cannot be stored, which is to say that it is not finite.
  virtual absl::StatusOr<std::shared_ptr<const CompressedLinear>> Freeze(
      absl::Span<const Tensor> parameters, ExecutionContext& ctx) const = 0;
};

// For layouts: what their vectors are as tensors, and back.
ChannelGroups ChannelGroupsOf(int64_t group_size,
                              const std::vector<int32_t>& group_index);
Tensor ToFloats(const std::vector<uint8_t>& values, Shape shape);
std::vector<float> ToVector(const Tensor& tensor);

// A weight in the form that most layouts have:
//
//   w[r, c] = scale[r, g] * (value[r, c] - zero[r, g])
//
// where value[r, c] is a constant or a sum of entries of a table.
struct StoredParameters {
  int64_t rows = 0;
  int64_t cols = 0;
  ChannelGroups groups;
  Tensor values;  // [rows, cols], constants; empty: from the table
  Tensor table;   // entries, trained
  std::shared_ptr<const ops::ValueIndices> indices;
  bool table_in_f16 = true;  // how entries are stored
  Tensor scales;             // [rows, groups], trained; empty: all one
  Tensor zeros;              // [rows, groups]; empty: all zero
  bool train_zeros = false;
};

// `freeze` makes the layer from parameters that were trained: table, scales and
// zeros hold what is to be stored, the rest is as it was. So do they for
// `choose`, which opens the codes; empty: they stay.
std::unique_ptr<TunableLinear> NewTunable(
    StoredParameters parameters,
    std::function<absl::StatusOr<std::shared_ptr<const CompressedLinear>>(
        const StoredParameters&)>
        freeze,
    std::function<std::unique_ptr<CodeChoice>(const StoredParameters&)> choose =
        nullptr);

// Codes [rows, cols] beside the scales, zeros and groups of `stored`; values
// and finish are left to the layout.
ScalarCodes ScalarCodesOf(const StoredParameters& stored,
                          std::vector<uint8_t> codes);

// A layer behind a constant change of its weight: `forward` is differentiable,
// `wrap` puts the frozen base behind it. Codes stay: what is nearest in another
// basis is not the nearest code. Null when `base` is.
std::unique_ptr<TunableLinear> WrapTunable(
    std::unique_ptr<TunableLinear> base,
    std::function<Tensor(const Tensor&, ExecutionContext&)> forward,
    std::function<absl::StatusOr<std::shared_ptr<const CompressedLinear>>(
        std::shared_ptr<const CompressedLinear>)>
        wrap);

}  // namespace quantd

#endif  // QUANTD_MODELS_TUNABLE_LINEAR_H_
