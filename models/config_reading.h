// What the families' readers of config.json have in common: sizes, activation
// names, rotary positions, windows. Every function returns InvalidArgument or
// Unimplemented naming the key and the fault.
#ifndef QUANTD_MODELS_CONFIG_READING_H_
#define QUANTD_MODELS_CONFIG_READING_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"
#include "models/model_description.h"

namespace quantd {

// Under which keys a family keeps its sizes.
struct SizeKeys {
  absl::string_view blocks = "num_hidden_layers";
  absl::string_view hidden = "hidden_size";
  absl::string_view vocabulary = "vocab_size";
  // Empty: the family has no limit.
  absl::string_view context = "max_position_embeddings";
};

// Sets blocks, hidden_size, vocabulary_size, context_tokens and the width of
// the embedding.
absl::Status ReadSizes(const JsonReader& reader, const SizeKeys& keys,
                       ModelDescription* d);

// A size in [1, 2^20].
absl::StatusOr<int> ReadSize(const JsonReader& reader, absl::string_view key);
absl::StatusOr<int> ReadSizeOr(const JsonReader& reader, absl::string_view key,
                               int absent);

struct HeadKeys {
  absl::string_view heads = "num_attention_heads";
  // Empty, or absent from the file: as many as heads.
  absl::string_view kv_heads = "num_key_value_heads";
  // Empty, or absent from the file: hidden_size / heads.
  absl::string_view head_dim = "head_dim";
};

// Sets heads, kv_heads and head_dim; checks that key/value heads divide heads.
// Call after ReadSizes().
absl::Status ReadHeads(const JsonReader& reader, const HeadKeys& keys,
                       ModelDescription* d);

// By the names of transformers' ACT2FN table.
absl::StatusOr<Activation> ReadActivation(const JsonReader& reader,
                                          absl::string_view key,
                                          absl::string_view absent);

absl::StatusOr<float> ReadEpsilon(const JsonReader& reader,
                                  absl::string_view key, double absent);

// rope_theta and rope_scaling (old key "type" and new "rope_type"; or both in
// rope_parameters), for heads whose first `rotary_dim` elements are rotated.
// Call after ReadSizes().
absl::StatusOr<RopeDescription> ReadRope(
    const JsonReader& reader, const ModelDescription& d, int rotary_dim,
    absl::string_view theta_key = "rope_theta");

// The even number of elements of a head that `key` (a share of it) leaves, or
// partial_rotary_factor in rope_parameters where that is there.
absl::StatusOr<int> ReadRotaryShare(const JsonReader& reader,
                                    absl::string_view key, double absent,
                                    int head_dim);

// "sliding_window": sets the window where the value is a number, and
// windowed_blocks from "layer_types" where that is there.
absl::Status ReadSlidingWindow(const JsonReader& reader, ModelDescription* d);

}  // namespace quantd

#endif  // QUANTD_MODELS_CONFIG_READING_H_
