// CompressedLinear: one linear layer's compressed weight. Every quantization
// method produces one of a few layouts; evaluation, export and storage know
// only this interface.
//
//   W [rows = out, cols = in] ~ Decode()
//
// A layout is a row of the table in compressed_linear.cc. Its name is written
// into artifacts: changed bytes mean a new name. The bytes of each layout are
// documented in its header under models/layouts/.
//
// Immutable and thread-safe.
#ifndef QUANTD_MODELS_COMPRESSED_LINEAR_H_
#define QUANTD_MODELS_COMPRESSED_LINEAR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "models/safetensors.h"
#include "nlohmann/json_fwd.hpp"
#include "tensor/tensor.h"

namespace quantd {

class TunableLinear;

class CompressedLinear {
 public:
  virtual ~CompressedLinear() = default;

  // The persisted name: "packed-int.v1".
  virtual absl::string_view layout() const = 0;
  virtual int64_t rows() const = 0;  // output channels
  virtual int64_t cols() const = 0;  // input channels

  // What a layout that wraps another wraps; null for the others.
  virtual const CompressedLinear* base() const { return nullptr; }

  // All bits that Save() writes as tensors for this layer: codes, scales,
  // zeros, indices.
  virtual uint64_t stored_bits() const = 0;

  // The float32 weight [rows, cols] that the compressed form stands for.
  virtual Tensor Decode(ExecutionContext& ctx) const = 0;

  // x [n, cols] times the decoded weight transposed: [n, rows].
  virtual Tensor Multiply(const Tensor& x, ExecutionContext& ctx) const;

  // What gradient descent may change of the layer, its codes fixed
  // (models/tunable_linear.h). Null: nothing.
  virtual std::unique_ptr<TunableLinear> Tunable() const;

  // Appends the layer's tensors, named "<layer>.<part>", and returns the
  // header that Load() needs besides them.
  virtual nlohmann::json Save(absl::string_view layer,
                              std::vector<TensorToWrite>* tensors) const = 0;

  double bits_per_weight() const {
    return static_cast<double>(stored_bits()) /
           (static_cast<double>(rows()) * static_cast<double>(cols()));
  }
};

// Where the tensors of a layer are looked up by name: a checkpoint, or one
// shard of an artifact in the making.
using TensorFinder =
    absl::FunctionRef<absl::StatusOr<const StoredTensor*>(absl::string_view)>;

// Reads layer `layer` of shape [rows, cols] with the header that Save()
// returned. InvalidArgument names the layer and the fault (a tensor of wrong
// size, an index out of range, a scale that is not finite, a layout inside
// itself); Unimplemented an unknown layout.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadCompressedLinear(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

// For layouts that wrap another: the layer whose header is in `header` under
// "base". Errors name no layer.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadBase(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols);

// Names of all layouts of this build, for tests and listings.
std::vector<absl::string_view> KnownLayouts();

}  // namespace quantd

#endif  // QUANTD_MODELS_COMPRESSED_LINEAR_H_
