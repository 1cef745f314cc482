// The parts of config.json that several families share. Errors name the file,
// the key and the fault; what this build has not is Unimplemented, by name.
#ifndef QUANTD_MODELS_CONFIG_READING_H_
#define QUANTD_MODELS_CONFIG_READING_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"
#include "models/model_description.h"

namespace quantd {

// hidden_size, intermediate_size, num_hidden_layers, num_attention_heads,
// num_key_value_heads (default: as many as heads), head_dim (default:
// hidden_size / heads), vocab_size, max_position_embeddings. Checks that
// key/value heads divide heads and that head_dim is even.
absl::Status ReadDecoderSizes(const JsonReader& reader, ModelDescription* d);

// The member `key` must be `expected` if present.
absl::Status RequireActivation(const JsonReader& reader, absl::string_view key,
                               absl::string_view expected);

// rope_theta and rope_scaling (old key "type" and new "rope_type").
absl::StatusOr<RopeDescription> ReadRope(const JsonReader& reader);

}  // namespace quantd

#endif  // QUANTD_MODELS_CONFIG_READING_H_
