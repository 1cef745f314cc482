// The decoder that all decoder-only families share: pre-norm blocks of causal
// grouped-query attention with rotary positions and a gated MLP, described by
// ModelDescription. Written once over tensor operations (tensor/ops.h).
//
//   h = h + Wo attention(rope(Wq n1(h)), rope(Wk n1(h)), Wv n1(h))
//   h = h + Wdown (silu(Wgate n2(h)) * Wup n2(h))
#ifndef QUANTD_MODELS_DECODER_H_
#define QUANTD_MODELS_DECODER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "models/model.h"

namespace quantd {

absl::StatusOr<std::unique_ptr<Model>> NewDecoder(
    std::shared_ptr<const Checkpoint> checkpoint, ModelDescription description);

// Whether every tensor that the decoder reads is in the checkpoint with its
// shape, from headers alone. NotFound or InvalidArgument names the first
// tensor that is not.
absl::Status CheckDecoderTensors(const Checkpoint& checkpoint,
                                 const ModelDescription& description);

// The linear layers of all blocks: names ("model.layers.0.self_attn.q_proj")
// and shapes, in block order and order of computation.
struct LinearShape {
  std::string name;
  int64_t rows = 0;
  int64_t cols = 0;
};
std::vector<LinearShape> DecoderLinears(const ModelDescription& description);

}  // namespace quantd

#endif  // QUANTD_MODELS_DECODER_H_
