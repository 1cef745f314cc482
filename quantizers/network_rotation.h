// Rotates the residual stream of a network: writes a checkpoint of the same
// function whose hidden states are those of the original times an orthogonal Q.
//
//   token embedding E            -> E Q
//   layers that read the stream  -> W diag(gain) Q   (q, k, v; gate, up;
//   router;
//                                   the head; gain: that of the norm before it)
//   layers that write to it      -> Q^T W, bias Q    (o, down)
//   norms                        -> gain one
//
// and, with `values`, the values of every head by an orthogonal P of head_dim,
// which attention's weighted means leave alone:
//
//   value layer, per head        -> P^T W, bias P
//   layer behind attention       -> W P, per head of its input
//
// x / rms(x) commutes with Q, a gain per channel does not; so each gain moves
// into the layers behind its norm first (Ashkboos et al., SliceGPT,
// arXiv:2401.15024, section 3; QuaRot, arXiv:2404.00456, stage 1a). Outlying
// channels of the hidden states, and the weights that deal with them, spread
// over all channels, which makes both easier to quantize. Nothing is left to do
// at inference.
//
// The result is an ordinary checkpoint of the same architecture in float32. A
// head tied to the embedding is untied unless the last norm's gain is one.
#ifndef QUANTD_QUANTIZERS_NETWORK_ROTATION_H_
#define QUANTD_QUANTIZERS_NETWORK_ROTATION_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "kernels/execution_context.h"
#include "models/checkpoint.h"
#include "models/model_description.h"
#include "models/model_footprint.h"
#include "quantizers/rotation.h"

namespace quantd {

struct NetworkRotationOptions {
  RotationKind kind = RotationKind::kAny;
  uint64_t seed = 0;
  bool values = true;
};

// InvalidArgument names the family and what of it does not commute with a
// rotation (LayerNorm, norms after the parts, learned positions, ...) or is
// not built (parallel blocks, state spaces).
absl::Status CheckRotatable(const ModelDescription& model, RotationKind kind);

// Writes the rotated checkpoint into `directory`, which exists. Shards that
// are there are kept: they must be those of an earlier call with the same
// arguments. Holds one layer at a time in memory. REQUIRES: CheckRotatable()
// was OK, `model` is the description of `source`, which is in floating point.
absl::Status WriteRotatedCheckpoint(const Checkpoint& source,
                                    const ModelDescription& model,
                                    const NetworkRotationOptions& options,
                                    const std::string& directory,
                                    ExecutionContext& ctx);

// What the rotated checkpoint weighs.
ModelFootprint RotatedFootprint(const ModelFootprint& source);

// Bytes of all its tensors.
uint64_t RotatedCheckpointBytes(const ModelDescription& model);

// The most that writing it holds at once.
uint64_t RotationWorkingBytes(const ModelDescription& model, RotationKind kind);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_NETWORK_ROTATION_H_
