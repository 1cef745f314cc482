// Token ids to the hidden states that enter the first block, as
// EmbeddingDescription says. Rows are converted one by one from the mapped
// file: the whole table in float32 is often the largest tensor of a model.
//
// Thread-safe.
#ifndef QUANTD_MODELS_NETWORK_EMBEDDING_H_
#define QUANTD_MODELS_NETWORK_EMBEDDING_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/execution_context.h"
#include "models/checkpoint.h"
#include "models/model_description.h"
#include "tensor/sequence_batch.h"
#include "tensor/tensor.h"

namespace quantd {

// [rows, hidden]. OutOfRange names an id that is not in the vocabulary, or a
// position beyond the learned ones. REQUIRES: one token a row of `batch`.
absl::StatusOr<Tensor> EmbedTokens(const Checkpoint& checkpoint,
                                   const ModelDescription& description,
                                   absl::Span<const int32_t> tokens,
                                   const SequenceBatch& batch,
                                   ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_MODELS_NETWORK_EMBEDDING_H_
