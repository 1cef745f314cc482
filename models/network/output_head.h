// Hidden states after the last block to logits, as HeadDescription says.
//
// The output matrix [vocabulary, width] is the largest of many models. It is
// kept in float32, or, above a limit, converted from the mapped checkpoint tile
// by tile in every call. Products are cut into the same tiles in both cases, so
// that the logits are the same bit for bit.
//
// Thread-compatible.
#ifndef QUANTD_MODELS_NETWORK_OUTPUT_HEAD_H_
#define QUANTD_MODELS_NETWORK_OUTPUT_HEAD_H_

#include <algorithm>
#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/checkpoint.h"
#include "models/linear.h"
#include "models/model_description.h"
#include "models/network/norm.h"
#include "tensor/tensor.h"

namespace quantd {

class OutputHead {
 public:
  // `checkpoint` and `description` outlive the result. An output matrix of more
  // than `max_kept_bytes` in float32 is not kept.
  static absl::StatusOr<OutputHead> Load(const Checkpoint& checkpoint,
                                         const ModelDescription& description,
                                         uint64_t max_kept_bytes,
                                         ExecutionContext& ctx);

  // hidden [n, hidden] -> [n, vocabulary]. InvalidArgument when the output
  // matrix has a NaN or infinity.
  absl::StatusOr<Tensor> Logits(const Tensor& hidden,
                                ExecutionContext& ctx) const;

  // The same logits, bit for bit, tile by tile of the vocabulary: `tile` is
  // given [n, count] of the tokens from `begin` on, in order, and its first
  // error ends the call. Nothing is recorded on a tape.
  absl::Status ForLogitTiles(
      const Tensor& hidden,
      absl::FunctionRef<absl::Status(int64_t begin, const Tensor& logits)> tile,
      ExecutionContext& ctx) const;

  // Rows of the output matrix per tile: 32 MiB of float32.
  static int64_t TileRows(int64_t width) {
    return std::max<int64_t>(1, (int64_t{1} << 23) / width);
  }

 private:
  OutputHead(const Checkpoint& checkpoint, const HeadDescription& description)
      : checkpoint_(&checkpoint), description_(&description) {}

  // Hidden states, normalised and projected: what the output matrix takes.
  Tensor Prepare(const Tensor& hidden, ExecutionContext& ctx) const;

  // Logits() of x, which was prepared, and is tracked.
  absl::StatusOr<Tensor> DifferentiableLogits(const Tensor& x,
                                              ExecutionContext& ctx) const;

  // Logits of tokens [begin, begin + count) for the prepared x, into rows of
  // `stride` floats at `logits`.
  absl::Status TileLogits(const Tensor& x, int64_t begin, int64_t count,
                          float* logits, int64_t stride,
                          ExecutionContext& ctx) const;

  // Bias and soft cap of the logits of the tokens from `begin` on. In place:
  // logits are large, and nobody else holds them yet.
  void Finish(int64_t begin, Tensor* logits, ExecutionContext& ctx) const;

  // Rows [begin, begin + count) of the stored output matrix.
  absl::StatusOr<Tensor> ConvertTile(int64_t begin, int64_t count,
                                     ExecutionContext& ctx) const;

  const Checkpoint* checkpoint_;
  const HeadDescription* description_;
  Norm norm_;
  std::optional<Linear> projection_;
  std::optional<Linear> transform_;
  Norm transform_norm_;
  Tensor output_;  // [vocabulary, width]; empty when it is not kept
  const StoredTensor* stored_output_ = nullptr;
  Tensor bias_;  // empty when there is none
};

}  // namespace quantd

#endif  // QUANTD_MODELS_NETWORK_OUTPUT_HEAD_H_
