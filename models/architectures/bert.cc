// BERT (Devlin et al. 2018, arXiv:1810.04805) with its masked language model
// head: attention in both directions, norms after each part, learned positions.
#include <string>

#include "base/status_macros.h"
#include "models/architectures/families.h"
#include "models/architectures/family_keys.h"
#include "models/architectures/llama_layout.h"
#include "models/config_reading.h"
#include "models/json_text.h"

namespace quantd {

namespace {

constexpr KeyDefault kDefaults[] = {
    {"hidden_size", 768},      {"intermediate_size", 3072},
    {"num_hidden_layers", 12}, {"num_attention_heads", 12},
    {"vocab_size", 30522},     {"max_position_embeddings", 512}};

}  // namespace

const FamilyKeys kBertKeys = {{}, kDefaults};

absl::StatusOr<ModelDescription> ParseBertConfig(const nlohmann::json& config,
                                                 absl::string_view origin) {
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(config, origin));
  ModelDescription d;
  RETURN_IF_ERROR(ReadSizes(reader, SizeKeys(), &d));
  RETURN_IF_ERROR(ReadHeads(reader, {"num_attention_heads", "", ""}, &d));
  ASSIGN_OR_RETURN(const std::string positions,
                   reader.GetStringOr("position_embedding_type", "absolute"));
  if (positions != "absolute") {
    return reader.Unsupported("position_embedding_type", Quoted(positions));
  }
  ASSIGN_OR_RETURN(const float epsilon,
                   ReadEpsilon(reader, "layer_norm_eps", 1e-12));
  ASSIGN_OR_RETURN(const bool causal, reader.GetBoolOr("is_decoder", false));
  d.predicts_next_token = causal;
  d.base_prefix = "bert.";
  d.block_prefix = "bert.encoder.layer";
  EmbeddingDescription& embedding = d.embedding;
  embedding.tokens = "bert.embeddings.word_embeddings";
  embedding.positions = "bert.embeddings.position_embeddings";
  embedding.position_rows = d.context_tokens;
  embedding.token_types = "bert.embeddings.token_type_embeddings";
  ASSIGN_OR_RETURN(embedding.token_type_rows,
                   ReadSizeOr(reader, "type_vocab_size", 2));

  BlockDescription& block = d.block;
  block.order = BlockDescription::Order::kPostNorm;
  block.mixer_norm.name = "attention.output.LayerNorm";
  block.feed_forward_norm.name = "output.LayerNorm";
  AttentionDescription& attention = block.attention;
  attention.causal = causal;
  attention.query = {"attention.self.query", true};
  attention.key = {"attention.self.key", true};
  attention.value = {"attention.self.value", true};
  attention.output = {"attention.output.dense", true};

  FeedForwardDescription& part = block.feed_forward;
  ASSIGN_OR_RETURN(part.intermediate_size,
                   ReadSize(reader, "intermediate_size"));
  ASSIGN_OR_RETURN(part.activation,
                   ReadActivation(reader, "hidden_act", "gelu"));
  part.up = {"intermediate.dense", true};
  part.down = {"output.dense", true};

  UseLayerNorms(epsilon, &d);
  embedding.norm = block.mixer_norm;
  embedding.norm.name = "bert.embeddings.LayerNorm";
  HeadDescription& head = d.head;
  head.transform = {"cls.predictions.transform.dense", true};
  head.transform_activation = part.activation;
  head.transform_norm = block.mixer_norm;
  head.transform_norm.name = "cls.predictions.transform.LayerNorm";
  ASSIGN_OR_RETURN(head.tied, reader.GetBoolOr("tie_word_embeddings", true));
  head.output = "cls.predictions.decoder";
  head.bias = "cls.predictions.bias";
  return d;
}

}  // namespace quantd
