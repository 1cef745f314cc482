#include "models/config_reading.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

// Bounds far above any published model, and low enough that products of two
// sizes fit 64 bits with room to spare.
constexpr int64_t kMaxBlocks = 4096;
constexpr int64_t kMaxSize = int64_t{1} << 20;
constexpr int64_t kMaxHeads = 4096;
constexpr int64_t kMaxVocabulary = int64_t{1} << 24;
constexpr int64_t kMaxContext = int64_t{1} << 30;
constexpr double kMaxFactor = 1e6;

absl::Status ReadInto(const JsonReader& reader, absl::string_view key,
                      int64_t max, int* out) {
  ASSIGN_OR_RETURN(const int64_t value, reader.GetInt(key, 1, max));
  *out = static_cast<int>(value);
  return absl::OkStatus();
}

struct ActivationName {
  absl::string_view name;
  Activation activation;
};

constexpr ActivationName kActivationNames[] = {
    {"silu", Activation::kSilu},
    {"swish", Activation::kSilu},
    {"gelu", Activation::kGelu},
    {"gelu_python", Activation::kGelu},
    {"gelu_new", Activation::kGeluTanh},
    {"gelu_fast", Activation::kGeluTanh},
    {"gelu_pytorch_tanh", Activation::kGeluTanh},
    {"quick_gelu", Activation::kQuickGelu},
    {"relu", Activation::kRelu},
    {"relu2", Activation::kReluSquared},
    {"tanh", Activation::kTanh},
    {"sigmoid", Activation::kSigmoid},
    {"linear", Activation::kIdentity},
    {"gelu_accurate", Activation::kGeluTanh},
    {"gelu_python_tanh", Activation::kGeluTanh},
    {"gelu_10", Activation::kGeluClipped},
    {"relu6", Activation::kRelu6},
    {"leaky_relu", Activation::kLeakyRelu},
    {"mish", Activation::kMish},
    {"laplace", Activation::kLaplace},
};

// Fills in what the scaling type needs beyond theta and rotary_dim.
using RopeReader = absl::Status (*)(const JsonReader& config,
                                    const JsonReader& scaling,
                                    RopeDescription* rope);

absl::Status ReadFactor(const JsonReader& scaling, RopeDescription* rope) {
  ASSIGN_OR_RETURN(rope->factor, scaling.GetDouble("factor", 1.0, kMaxFactor));
  return absl::OkStatus();
}

// The context before extension. Phi-3 keeps it beside the scaling, and there it
// decides; without it the model was not extended.
absl::StatusOr<double> ReadOriginalContext(const JsonReader& config,
                                           const JsonReader& scaling,
                                           double absent) {
  constexpr char kKey[] = "original_max_position_embeddings";
  return (config.Has(kKey) ? config : scaling)
      .GetDoubleOr(kKey, absent, 2.0, static_cast<double>(kMaxContext));
}

absl::Status ReadNoScaling(const JsonReader&, const JsonReader&,
                           RopeDescription*) {
  return absl::OkStatus();
}

absl::Status ReadLinear(const JsonReader&, const JsonReader& scaling,
                        RopeDescription* rope) {
  rope->scaling = RopeDescription::Scaling::kLinear;
  return ReadFactor(scaling, rope);
}

absl::Status ReadDynamic(const JsonReader&, const JsonReader& scaling,
                         RopeDescription* rope) {
  rope->scaling = RopeDescription::Scaling::kDynamic;
  if (rope->rotary_dim <= 2) {
    return scaling.Fault("rope_type",
                         "dynamic scaling needs more than 2 rotary dimensions");
  }
  return ReadFactor(scaling, rope);
}

absl::Status ReadLlama3(const JsonReader& config, const JsonReader& scaling,
                        RopeDescription* rope) {
  rope->scaling = RopeDescription::Scaling::kLlama3;
  RETURN_IF_ERROR(ReadFactor(scaling, rope));
  ASSIGN_OR_RETURN(rope->low_frequency_factor,
                   scaling.GetDouble("low_freq_factor", 1e-6, kMaxFactor));
  ASSIGN_OR_RETURN(rope->high_frequency_factor,
                   scaling.GetDouble("high_freq_factor", 1e-6, kMaxFactor));
  if (rope->high_frequency_factor <= rope->low_frequency_factor) {
    return scaling.Fault("high_freq_factor", "must exceed low_freq_factor");
  }
  ASSIGN_OR_RETURN(rope->original_context,
                   ReadOriginalContext(config, scaling, rope->context));
  return absl::OkStatus();
}

absl::Status ReadLongRope(const JsonReader& config, const JsonReader& scaling,
                          RopeDescription* rope);

// Peng et al. 2023, section 3.4: 0.1 ln(factor) + 1. DeepSeek's files weigh the
// logarithm, once for the rotated part and once for the whole head; what is
// applied is the ratio (0 counts as absent).
absl::StatusOr<double> YarnAttentionFactor(const JsonReader& scaling,
                                           double factor) {
  ASSIGN_OR_RETURN(const double rotated,
                   scaling.GetDoubleOr("mscale", 0.0, 0.0, kMaxFactor));
  ASSIGN_OR_RETURN(const double whole,
                   scaling.GetDoubleOr("mscale_all_dim", 0.0, 0.0, kMaxFactor));
  const auto scale = [&](double weight) {
    return 0.1 * weight * std::log(factor) + 1.0;
  };
  return rotated > 0 && whole > 0 ? scale(rotated) / scale(whole) : scale(1.0);
}

absl::Status ReadYarn(const JsonReader& config, const JsonReader& scaling,
                      RopeDescription* rope) {
  // The first Phi-3 files called LongRoPE so.
  if (scaling.Has("short_factor")) return ReadLongRope(config, scaling, rope);
  rope->scaling = RopeDescription::Scaling::kYarn;
  ASSIGN_OR_RETURN(rope->original_context,
                   ReadOriginalContext(config, scaling, rope->context));
  // The factor that the file names holds even where the ratio of the contexts
  // is another.
  rope->factor = std::max(1.0, rope->context / rope->original_context);
  if (scaling.Has("factor")) RETURN_IF_ERROR(ReadFactor(scaling, rope));
  ASSIGN_OR_RETURN(const double absent,
                   YarnAttentionFactor(scaling, rope->factor));
  ASSIGN_OR_RETURN(rope->attention_factor,
                   scaling.GetDoubleOr("attention_factor", absent, 1e-6, 1e6));
  ASSIGN_OR_RETURN(rope->whole_ramp, scaling.GetBoolOr("truncate", true));
  ASSIGN_OR_RETURN(rope->beta_fast,
                   scaling.GetDoubleOr("beta_fast", 32.0, 1e-6, kMaxFactor));
  ASSIGN_OR_RETURN(rope->beta_slow,
                   scaling.GetDoubleOr("beta_slow", 1.0, 1e-6, kMaxFactor));
  if (rope->beta_fast < rope->beta_slow) {
    return scaling.Fault("beta_fast", "must not be below beta_slow");
  }
  if (rope->theta <= 1.0) {
    return scaling.Fault("rope_type", "yarn scaling needs a theta above 1");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<double>> ReadFactors(const JsonReader& scaling,
                                                absl::string_view key,
                                                size_t count) {
  ASSIGN_OR_RETURN(const nlohmann::json* array, scaling.GetArray(key));
  if (array->size() != count) {
    return scaling.Fault(
        key, absl::StrCat(array->size(), " factors for a rotation of ", count,
                          " pairs"));
  }
  std::vector<double> factors;
  for (const nlohmann::json& value : *array) {
    if (!value.is_number() || !(value.get<double>() > 0) ||
        !std::isfinite(value.get<double>())) {
      return scaling.Fault(
          key, absl::StrCat(DescribeJson(value), " is not a positive number"));
    }
    factors.push_back(value.get<double>());
  }
  return factors;
}

absl::Status ReadLongRope(const JsonReader& config, const JsonReader& scaling,
                          RopeDescription* rope) {
  rope->scaling = RopeDescription::Scaling::kLongRope;
  const size_t pairs = static_cast<size_t>(rope->rotary_dim / 2);
  ASSIGN_OR_RETURN(rope->short_factors,
                   ReadFactors(scaling, "short_factor", pairs));
  ASSIGN_OR_RETURN(rope->long_factors,
                   ReadFactors(scaling, "long_factor", pairs));
  ASSIGN_OR_RETURN(rope->original_context,
                   ReadOriginalContext(config, scaling, 0.0));
  if (rope->original_context > 0) {
    rope->factor = rope->context / rope->original_context;
  } else {
    rope->original_context = rope->context;
    RETURN_IF_ERROR(ReadFactor(scaling, rope));
  }
  const double absent =
      rope->factor <= 1.0 ? 1.0
                          : std::sqrt(1 + std::log(rope->factor) /
                                              std::log(rope->original_context));
  ASSIGN_OR_RETURN(rope->attention_factor,
                   scaling.GetDoubleOr("attention_factor", absent, 1e-6, 1e6));
  return absl::OkStatus();
}

const char* TypeKey(const JsonReader& scaling) {
  return scaling.Has("rope_type") ? "rope_type" : "type";
}

struct RopeTypeRow {
  absl::string_view name;
  RopeReader read;
};

constexpr RopeTypeRow kRopeTypes[] = {
    {"default", ReadNoScaling}, {"linear", ReadLinear},
    {"dynamic", ReadDynamic},   {"llama3", ReadLlama3},
    {"yarn", ReadYarn},         {"longrope", ReadLongRope},
    {"su", ReadLongRope},
};

}  // namespace

absl::Status ReadSizes(const JsonReader& reader, const SizeKeys& keys,
                       ModelDescription* d) {
  RETURN_IF_ERROR(ReadInto(reader, keys.blocks, kMaxBlocks, &d->blocks));
  RETURN_IF_ERROR(ReadInto(reader, keys.hidden, kMaxSize, &d->hidden_size));
  RETURN_IF_ERROR(
      ReadInto(reader, keys.vocabulary, kMaxVocabulary, &d->vocabulary_size));
  d->embedding.width = d->hidden_size;
  if (keys.context.empty()) return absl::OkStatus();
  return ReadInto(reader, keys.context, kMaxContext, &d->context_tokens);
}

absl::StatusOr<int> ReadSize(const JsonReader& reader, absl::string_view key) {
  int size = 0;
  RETURN_IF_ERROR(ReadInto(reader, key, kMaxSize, &size));
  return size;
}

absl::StatusOr<int> ReadSizeOr(const JsonReader& reader, absl::string_view key,
                               int absent) {
  if (!reader.Has(key)) return absent;
  return ReadSize(reader, key);
}

absl::Status ReadHeads(const JsonReader& reader, const HeadKeys& keys,
                       ModelDescription* d) {
  AttentionDescription& attention = d->block.attention;
  RETURN_IF_ERROR(ReadInto(reader, keys.heads, kMaxHeads, &attention.heads));
  attention.kv_heads = attention.heads;
  if (!keys.kv_heads.empty() && reader.Has(keys.kv_heads)) {
    RETURN_IF_ERROR(
        ReadInto(reader, keys.kv_heads, kMaxHeads, &attention.kv_heads));
  }
  if (attention.heads % attention.kv_heads != 0) {
    return reader.Fault(
        keys.kv_heads, absl::StrCat(attention.kv_heads, " does not divide the ",
                                    attention.heads, " attention heads"));
  }
  if (!keys.head_dim.empty() && reader.Has(keys.head_dim)) {
    ASSIGN_OR_RETURN(attention.head_dim, ReadSize(reader, keys.head_dim));
    return absl::OkStatus();
  }
  if (d->hidden_size % attention.heads != 0) {
    return reader.Fault(
        keys.heads,
        absl::StrCat(attention.heads, " does not divide the hidden size ",
                     d->hidden_size, " and there is no head_dim"));
  }
  attention.head_dim = d->hidden_size / attention.heads;
  return absl::OkStatus();
}

absl::StatusOr<Activation> ReadActivation(const JsonReader& reader,
                                          absl::string_view key,
                                          absl::string_view absent) {
  ASSIGN_OR_RETURN(const std::string name, reader.GetStringOr(key, absent));
  for (const ActivationName& row : kActivationNames) {
    if (row.name == name) return row.activation;
  }
  return reader.Unsupported(key, absl::StrCat("activation ", Quoted(name)));
}

absl::StatusOr<float> ReadEpsilon(const JsonReader& reader,
                                  absl::string_view key, double absent) {
  ASSIGN_OR_RETURN(const double value,
                   reader.GetDoubleOr(key, absent, 0.0, 1.0));
  return static_cast<float>(value);
}

absl::StatusOr<RopeDescription> ReadRope(const JsonReader& reader,
                                         const ModelDescription& d,
                                         int rotary_dim,
                                         absl::string_view theta_key) {
  RopeDescription rope;
  rope.rotary_dim = rotary_dim;
  rope.context = d.context_tokens;
  if (rotary_dim < 2 || rotary_dim % 2 != 0) {
    return reader.Fault("head_dim",
                        absl::StrCat("rotary positions need an even number of "
                                     "dimensions, not ",
                                     rotary_dim));
  }
  ASSIGN_OR_RETURN(std::optional<JsonReader> scaling,
                   reader.FindObject("rope_scaling"));
  // In rope_parameters, which holds theta as well, no type means no scaling.
  std::string type = "default";
  if (scaling.has_value()) {
    ASSIGN_OR_RETURN(type, scaling->GetString(TypeKey(*scaling)));
  } else {
    ASSIGN_OR_RETURN(scaling, reader.FindObject("rope_parameters"));
    if (scaling.has_value()) {
      ASSIGN_OR_RETURN(type, scaling->GetStringOr(TypeKey(*scaling), type));
    }
  }
  const bool nested = scaling.has_value() && scaling->Has("rope_theta");
  ASSIGN_OR_RETURN(
      rope.theta,
      (nested ? *scaling : reader)
          .GetDoubleOr(nested ? "rope_theta" : theta_key, 10000.0, 1.0, 1e12));
  if (!scaling.has_value()) return rope;
  for (const RopeTypeRow& row : kRopeTypes) {
    if (row.name != type) continue;
    RETURN_IF_ERROR(row.read(reader, *scaling, &rope));
    return rope;
  }
  return scaling->Unsupported(TypeKey(*scaling),
                              absl::StrCat("rope type ", Quoted(type)));
}

absl::StatusOr<int> ReadRotaryShare(const JsonReader& reader,
                                    absl::string_view key, double absent,
                                    int head_dim) {
  ASSIGN_OR_RETURN(const std::optional<JsonReader> parameters,
                   reader.FindObject("rope_parameters"));
  constexpr char kNested[] = "partial_rotary_factor";
  const bool nested = parameters.has_value() && parameters->Has(kNested);
  ASSIGN_OR_RETURN(const double share,
                   (nested ? *parameters : reader)
                       .GetDoubleOr(nested ? kNested : key, absent, 1e-6, 1.0));
  const int dim = static_cast<int>(head_dim * share);
  if (dim < 2 || dim % 2 != 0) {
    return reader.Fault(
        key, absl::StrCat(share, " of a head of ", head_dim, " leaves ", dim,
                          " rotary dimensions, which is not even"));
  }
  return dim;
}

absl::Status ReadSlidingWindow(const JsonReader& reader, ModelDescription* d) {
  AttentionDescription& attention = d->block.attention;
  ASSIGN_OR_RETURN(const int64_t window,
                   reader.GetIntOr("sliding_window", 0, 1, kMaxContext));
  attention.window = static_cast<int>(window);
  if (window == 0 || !reader.Has("layer_types")) return absl::OkStatus();
  ASSIGN_OR_RETURN(const nlohmann::json* types, reader.GetArray("layer_types"));
  if (types->size() != static_cast<size_t>(d->blocks)) {
    return reader.Fault(
        "layer_types",
        absl::StrCat(types->size(), " entries for ", d->blocks, " blocks"));
  }
  attention.windowed_blocks.clear();
  for (const nlohmann::json& type : *types) {
    const std::string name =
        type.is_string() ? type.get<std::string>() : DescribeJson(type);
    if (name != "sliding_attention" && name != "full_attention") {
      return reader.Unsupported("layer_types",
                                absl::StrCat("layer type ", Quoted(name)));
    }
    attention.windowed_blocks.push_back(name == "sliding_attention");
  }
  return absl::OkStatus();
}

}  // namespace quantd
