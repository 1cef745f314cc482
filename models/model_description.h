// What a network looks like, as data: read from config.json by the family's
// file under models/architectures/, run by the one network under
// models/network/.
//
// A name below is that of a tensor without its ".weight" or ".bias"; an empty
// name means that the part is not there. Names inside a block are relative to
// "<block_prefix>.<k>.".
//
// Thread-compatible plain data.
#ifndef QUANTD_MODELS_MODEL_DESCRIPTION_H_
#define QUANTD_MODELS_MODEL_DESCRIPTION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/device.h"
#include "models/checkpoint.h"
#include "nlohmann/json_fwd.hpp"

namespace quantd {

// y = x W^T + bias.
struct LinearDescription {
  std::string name;
  bool bias = false;
  // Stored as [in, out] (the Conv1D of GPT-2).
  bool transposed = false;

  bool present() const { return !name.empty(); }
};

struct NormDescription {
  enum class Kind {
    kRms,    // x / rms(x)
    kLayer,  // (x - mean) / deviation
  };
  Kind kind = Kind::kRms;
  std::string name;
  float epsilon = 1e-5f;
  bool weight = true;
  bool bias = false;           // kLayer only
  float weight_offset = 0.0f;  // added to the stored weight (Gemma: 1)

  bool present() const { return !name.empty(); }
};

// Rotary position embedding (Su et al. 2021, arXiv:2104.09864): the angle of
// pair i at position p is p * frequency(i), frequency(i) =
// theta^(-2 i / rotary_dim) before scaling.
struct RopeDescription {
  enum class Scaling {
    kNone,
    // All frequencies divided by `factor`.
    kLinear,
    // theta grows once a sequence exceeds `context`:
    // theta * (factor * length / context - (factor - 1))^(d / (d - 2)).
    kDynamic,
    // Frequencies divided by `factor` where the wavelength exceeds
    // original_context / low_frequency_factor, unchanged where it is below
    // original_context / high_frequency_factor, interpolated between
    // (Llama 3.1 model card; reference: transformers, rope type "llama3").
    kLlama3,
    // Peng et al. 2023, arXiv:2309.00071: interpolation of the dimensions
    // that turn less than beta_slow times in the original context, none above
    // beta_fast turns, a ramp between; cosines and sines times
    // attention_factor.
    kYarn,
    // Ding et al. 2024, arXiv:2402.13753: every frequency divided by a
    // searched factor of its own, one list up to original_context and one
    // beyond; cosines and sines times attention_factor.
    kLongRope,
  };
  double theta = 10000.0;
  Scaling scaling = Scaling::kNone;
  double factor = 1.0;
  double context = 0;  // max_position_embeddings
  double original_context = 8192;
  double low_frequency_factor = 1.0;
  double high_frequency_factor = 4.0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  bool whole_ramp = true;  // kYarn: the ramp begins and ends at whole pairs
  double attention_factor = 1.0;
  std::vector<double> short_factors;  // rotary_dim / 2
  std::vector<double> long_factors;
  // The first elements of each head that are rotated; 0: no rotary positions.
  int rotary_dim = 0;
  // Pairs (2 i, 2 i + 1) instead of (i, i + rotary_dim / 2).
  bool interleaved = false;
};

// Attention with linear biases (Press et al. 2021, arXiv:2108.12409): the bias
// of head h at key j is slope(h) * j (softmax drops what is common to a row).
struct AlibiDescription {
  std::vector<float> slopes;  // one a head; empty: no biases
  // Biases are rounded to bfloat16 before use, as Falcon's own code does.
  bool round_to_bf16 = false;
  // Multiplied with the rounded bias (Falcon scales scores and bias alike).
  float scale = 1.0f;
};

struct AttentionDescription {
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  LinearDescription query;
  LinearDescription key;
  LinearDescription value;
  // In place of the three: one layer whose rows are
  enum class FusedLayout {
    kConcatenated,  // all queries, all keys, all values
    // per key/value head: its heads / kv_heads queries, its key, its value
    kGrouped,
  };
  LinearDescription fused;
  FusedLayout fused_layout = FusedLayout::kConcatenated;
  LinearDescription output;

  float scale = 0.0f;  // of the scores; 0: 1 / sqrt(head_dim)
  // Scores are divided by the block's number, counted from one.
  bool scale_by_inverse_block = false;
  float softcap = 0.0f;
  float clip_qkv = 0.0f;  // queries, keys, values clamped to +-; 0: not
  bool causal = true;
  int window = 0;  // tokens a query sees, itself included; 0: all before it
  // The blocks the window holds for; empty: all.
  std::vector<bool> windowed_blocks;

  RopeDescription rope;
  AlibiDescription alibi;

  // Normalisation of queries and keys before rotation.
  enum class QueryKeyNorm {
    kNone,
    kPerHead,     // one weight of head_dim for all heads
    kPerHeadOwn,  // "<name>.norms.<head>", each of head_dim
  };
  QueryKeyNorm query_key_norm = QueryKeyNorm::kNone;
  NormDescription query_norm;
  NormDescription key_norm;
};

struct FeedForwardDescription {
  int intermediate_size = 0;
  Activation activation = Activation::kSilu;
  // down(activation(gate(x)) * up(x)); without a gate down(activation(up(x))).
  LinearDescription gate;
  LinearDescription up;
  LinearDescription down;
  // In place of gate and up: one layer of 2 * intermediate_size rows, the gate
  // first.
  LinearDescription gate_up;
  // Mixture of experts: softmax of the router's scores, the best
  // experts_per_token of them rescaled to sum to one. Experts are
  // "<experts_name>.<e>.<gate, up, down>".
  int experts = 0;
  int experts_per_token = 0;
  std::string router;
  std::string experts_name;
};

// Gu and Dao 2023, arXiv:2312.00752.
struct StateSpaceDescription {
  int channels = 0;  // inner width
  int states = 0;    // per channel
  int conv_width = 0;
  int step_rank = 0;  // of the projection that makes the step size
  Activation activation = Activation::kSilu;
  LinearDescription in;         // x and its gate
  LinearDescription selection;  // step (low rank), B, C
  LinearDescription step;
  LinearDescription out;
  std::string conv;
  bool conv_bias = true;
  std::string a_log;  // full tensor names: they have no ".weight"
  std::string skip;
};

// How the parts of a block follow each other. n1 and n2 are mixer_norm and
// feed_forward_norm, p1 and p2 the norms after the parts (identity where not
// present).
struct BlockDescription {
  enum class Order {
    // h += p1(mixer(n1(h)));  h += p2(feed_forward(n2(h)))
    kSequential,
    // h += mixer(n1(h)) + feed_forward(n2(h)); without n2 both read n1(h)
    kParallel,
    // h = n1(h + mixer(h));  h = n2(h + feed_forward(h))
    kPostNorm,
  };
  enum class Mixer { kAttention, kStateSpace };
  Order order = Order::kSequential;
  Mixer mixer = Mixer::kAttention;
  bool has_feed_forward = true;
  // What is added to a part's result is the norm's output, not its input.
  bool residual_after_norm = false;
  NormDescription mixer_norm;
  NormDescription mixer_post_norm;
  NormDescription feed_forward_norm;
  NormDescription feed_forward_post_norm;
  AttentionDescription attention;
  StateSpaceDescription state_space;
  FeedForwardDescription feed_forward;
};

// Token ids to the hidden states that enter the first block.
struct EmbeddingDescription {
  std::string tokens;     // [vocabulary, width]
  int width = 0;          // hidden_size unless there is a projection
  float scale = 1.0f;     // of the token rows
  std::string positions;  // learned positions [rows, hidden]
  int position_rows = 0;
  int position_offset = 0;  // row of position 0 (OPT: 2)
  std::string token_types;  // row 0 of [types, hidden] is added
  int token_type_rows = 0;
  NormDescription norm;
  LinearDescription projection;  // width -> hidden
};

// Hidden states after the last block to logits.
struct HeadDescription {
  NormDescription norm;
  LinearDescription projection;  // hidden -> embedding.width
  // Masked language models: norm2(activation(dense(x))) before the output.
  LinearDescription transform;
  Activation transform_activation = Activation::kGelu;
  NormDescription transform_norm;
  std::string output;  // ignored when tied to the token embedding
  bool tied = false;
  std::string bias;  // full tensor name
  float softcap = 0.0f;
};

struct ModelDescription {
  std::string architecture;  // model_type of config.json
  // What tensor names begin with; checkpoints of the bare model lack it.
  std::string base_prefix;
  int blocks = 0;
  int hidden_size = 0;
  int vocabulary_size = 0;
  // The longest window it was trained for; 0: no limit.
  int context_tokens = 0;
  // The head of an encoder predicts masked tokens, not the next one: no
  // perplexity, no generation.
  bool predicts_next_token = true;
  std::string block_prefix;  // "model.layers"
  EmbeddingDescription embedding;
  BlockDescription block;
  HeadDescription head;
};

// Checks config.json and that every tensor the description needs is there with
// its shape. Unimplemented names an architecture, activation or rope type that
// this build has not; InvalidArgument names the key or tensor and the fault.
absl::StatusOr<ModelDescription> DescribeModel(const Checkpoint& checkpoint);

// config.json alone. `origin` names it in errors.
absl::StatusOr<ModelDescription> ParseModelConfig(const nlohmann::json& config,
                                                  absl::string_view origin);

std::vector<absl::string_view> KnownArchitectures();

}  // namespace quantd

#endif  // QUANTD_MODELS_MODEL_DESCRIPTION_H_
