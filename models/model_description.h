// What a network looks like, as data: read from config.json by the family's
// file under models/architectures/, used by the one decoder (decoder.h).
//
// Thread-compatible plain data.
#ifndef QUANTD_MODELS_MODEL_DESCRIPTION_H_
#define QUANTD_MODELS_MODEL_DESCRIPTION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/checkpoint.h"
#include "nlohmann/json_fwd.hpp"
#include "tensor/tensor.h"

namespace quantd {

// Rotary position embedding: angle of pair i at position p is
// p * frequency(i), frequency(i) = theta^(-2 i / head_dim) before scaling.
struct RopeDescription {
  enum class Scaling {
    kNone,
    // Frequencies divided by `factor` where the wavelength exceeds
    // original_context / low_frequency_factor, unchanged where it is below
    // original_context / high_frequency_factor, interpolated between
    // (Llama 3.1 model card; reference: transformers, rope type "llama3").
    kLlama3,
  };
  double theta = 10000.0;
  Scaling scaling = Scaling::kNone;
  double factor = 1.0;
  double low_frequency_factor = 1.0;
  double high_frequency_factor = 4.0;
  double original_context = 8192;
};

// Names of tensors in the checkpoint, so that a family is a table of names and
// not a second decoder. Block names are relative to "<block_prefix>.<k>.".
struct TensorNames {
  std::string embedding;
  std::string block_prefix;
  std::string attention_norm;
  std::string query;
  std::string key;
  std::string value;
  std::string attention_output;
  std::string mlp_norm;
  std::string gate;
  std::string up;
  std::string down;
  std::string final_norm;
  std::string head;
};

struct ModelDescription {
  std::string architecture;  // model_type of config.json
  int blocks = 0;
  int hidden_size = 0;
  int intermediate_size = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int vocabulary_size = 0;
  int context_tokens = 0;  // the longest window it was trained for
  float norm_epsilon = 1e-5f;
  bool tied_embeddings = false;
  bool attention_bias = false;  // on query, key, value and output
  bool mlp_bias = false;        // on gate, up and down
  RopeDescription rope;
  TensorNames names;
};

// Checks config.json and that every tensor the description needs is there with
// its shape. Unimplemented names an architecture, activation or rope type that
// this build has not; InvalidArgument names the key or tensor and the fault.
absl::StatusOr<ModelDescription> DescribeModel(const Checkpoint& checkpoint);

// config.json alone. `origin` names it in errors.
absl::StatusOr<ModelDescription> ParseModelConfig(const nlohmann::json& config,
                                                  absl::string_view origin);

// One row of the architecture table (architectures.cc).
struct Architecture {
  absl::string_view model_type;
  absl::StatusOr<ModelDescription> (*parse)(const nlohmann::json& config,
                                            absl::string_view origin);
};

std::vector<absl::string_view> KnownArchitectures();

}  // namespace quantd

#endif  // QUANTD_MODELS_MODEL_DESCRIPTION_H_
