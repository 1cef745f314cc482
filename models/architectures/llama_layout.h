// The module tree of Llama, which many later families took over: the starting
// point of their descriptions.
#ifndef QUANTD_MODELS_ARCHITECTURES_LLAMA_LAYOUT_H_
#define QUANTD_MODELS_ARCHITECTURES_LLAMA_LAYOUT_H_

#include <optional>

#include "absl/status/status.h"
#include "models/json_text.h"
#include "models/model_description.h"

namespace quantd {

// Names and structure: RMS norms before gated attention and feed-forward
// parts, separate projections, no biases, an untied head. No sizes.
ModelDescription LlamaLayout();

// Sizes, heads, feed-forward width, activation ("hidden_act"), epsilon
// ("rms_norm_eps"), tied embeddings, and rotary positions. Where
// `rotary_share` is given, they cover "partial_rotary_factor" of each head,
// that share when the key is absent; otherwise whole heads.
absl::Status ReadLlamaConfig(const JsonReader& reader, ModelDescription* d,
                             std::optional<double> rotary_share = std::nullopt);

// Of all norms of the description.
void SetNormEpsilon(float epsilon, ModelDescription* d);

// All norms of the description become layer norms with weight and bias.
void UseLayerNorms(float epsilon, ModelDescription* d);

// The same biases on query, key and value.
void SetQueryKeyValueBias(bool bias, AttentionDescription* attention);

}  // namespace quantd

#endif  // QUANTD_MODELS_ARCHITECTURES_LLAMA_LAYOUT_H_
