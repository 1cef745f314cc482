// One block of the network: a mixer and a feed-forward part, put together in
// the order that BlockDescription says.
#ifndef QUANTD_MODELS_NETWORK_DECODER_BLOCK_H_
#define QUANTD_MODELS_NETWORK_DECODER_BLOCK_H_

#include <memory>

#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/checkpoint.h"
#include "models/model.h"
#include "models/model_description.h"
#include "models/network/position_tables.h"

namespace quantd {

// Reads block `block`. `description` and `tables` outlive the result.
absl::StatusOr<std::unique_ptr<Block>> LoadDecoderBlock(
    const Checkpoint& checkpoint, const ModelDescription& description,
    const PositionTables& tables, int block, ExecutionContext& ctx);

}  // namespace quantd

#endif  // QUANTD_MODELS_NETWORK_DECODER_BLOCK_H_
