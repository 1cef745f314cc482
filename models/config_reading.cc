#include "models/config_reading.h"

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

// Bounds far above any published model, and low enough that products of two
// sizes fit 64 bits with room to spare.
constexpr int64_t kMaxBlocks = 4096;
constexpr int64_t kMaxSize = int64_t{1} << 20;
constexpr int64_t kMaxHeads = 4096;
constexpr int64_t kMaxVocabulary = int64_t{1} << 24;
constexpr int64_t kMaxContext = int64_t{1} << 30;

absl::Status ReadSize(const JsonReader& reader, absl::string_view key,
                      int64_t max, int* out) {
  ASSIGN_OR_RETURN(const int64_t value, reader.GetInt(key, 1, max));
  *out = static_cast<int>(value);
  return absl::OkStatus();
}

absl::StatusOr<RopeDescription> ReadLlama3Scaling(const JsonReader& scaling,
                                                  RopeDescription rope) {
  rope.scaling = RopeDescription::Scaling::kLlama3;
  ASSIGN_OR_RETURN(rope.factor, scaling.GetDouble("factor", 1.0, 1e6));
  ASSIGN_OR_RETURN(rope.low_frequency_factor,
                   scaling.GetDouble("low_freq_factor", 1e-6, 1e6));
  ASSIGN_OR_RETURN(rope.high_frequency_factor,
                   scaling.GetDouble("high_freq_factor", 1e-6, 1e6));
  if (rope.high_frequency_factor <= rope.low_frequency_factor) {
    return scaling.Fault("high_freq_factor", "must exceed low_freq_factor");
  }
  ASSIGN_OR_RETURN(rope.original_context,
                   scaling.GetDouble("original_max_position_embeddings", 1.0,
                                     static_cast<double>(kMaxContext)));
  return rope;
}

absl::StatusOr<RopeDescription> NoScaling(const JsonReader&,
                                          RopeDescription rope) {
  return rope;
}

struct RopeTypeRow {
  absl::string_view name;
  absl::StatusOr<RopeDescription> (*read)(const JsonReader& scaling,
                                          RopeDescription rope);
};

constexpr RopeTypeRow kRopeTypes[] = {
    {"default", NoScaling},
    {"llama3", ReadLlama3Scaling},
};

}  // namespace

absl::Status ReadDecoderSizes(const JsonReader& reader, ModelDescription* d) {
  RETURN_IF_ERROR(
      ReadSize(reader, "num_hidden_layers", kMaxBlocks, &d->blocks));
  RETURN_IF_ERROR(ReadSize(reader, "hidden_size", kMaxSize, &d->hidden_size));
  RETURN_IF_ERROR(
      ReadSize(reader, "intermediate_size", kMaxSize, &d->intermediate_size));
  RETURN_IF_ERROR(
      ReadSize(reader, "num_attention_heads", kMaxHeads, &d->heads));
  RETURN_IF_ERROR(
      ReadSize(reader, "vocab_size", kMaxVocabulary, &d->vocabulary_size));
  RETURN_IF_ERROR(ReadSize(reader, "max_position_embeddings", kMaxContext,
                           &d->context_tokens));
  ASSIGN_OR_RETURN(
      const int64_t kv_heads,
      reader.GetIntOr("num_key_value_heads", d->heads, 1, kMaxHeads));
  d->kv_heads = static_cast<int>(kv_heads);
  if (d->heads % d->kv_heads != 0) {
    return reader.Fault("num_key_value_heads",
                        absl::StrCat(d->kv_heads, " does not divide the ",
                                     d->heads, " attention heads"));
  }
  if (!reader.Has("head_dim") && d->hidden_size % d->heads != 0) {
    return reader.Fault(
        "num_attention_heads",
        absl::StrCat(d->heads, " does not divide hidden_size ", d->hidden_size,
                     " and there is no head_dim"));
  }
  ASSIGN_OR_RETURN(
      const int64_t head_dim,
      reader.GetIntOr("head_dim", d->hidden_size / d->heads, 2, kMaxSize));
  d->head_dim = static_cast<int>(head_dim);
  if (d->head_dim < 2 || d->head_dim % 2 != 0) {
    return reader.Fault(
        "head_dim",
        absl::StrCat(d->head_dim, " is not even, as rotary positions need"));
  }
  return absl::OkStatus();
}

absl::Status RequireActivation(const JsonReader& reader, absl::string_view key,
                               absl::string_view expected) {
  ASSIGN_OR_RETURN(const std::string activation,
                   reader.GetStringOr(key, expected));
  if (activation != expected) {
    return reader.Unsupported(key,
                              absl::StrCat("activation ", Quoted(activation),
                                           " is not supported by this build"));
  }
  return absl::OkStatus();
}

absl::StatusOr<RopeDescription> ReadRope(const JsonReader& reader) {
  RopeDescription rope;
  ASSIGN_OR_RETURN(rope.theta,
                   reader.GetDoubleOr("rope_theta", 10000.0, 1.0, 1e12));
  ASSIGN_OR_RETURN(const std::optional<JsonReader> scaling,
                   reader.FindObject("rope_scaling"));
  if (!scaling.has_value()) return rope;
  const char* key = scaling->Has("rope_type") ? "rope_type" : "type";
  ASSIGN_OR_RETURN(const std::string type, scaling->GetString(key));
  for (const RopeTypeRow& row : kRopeTypes) {
    if (row.name == type) return row.read(*scaling, rope);
  }
  return scaling->Unsupported(key,
                              absl::StrCat("rope type ", Quoted(type),
                                           " is not supported by this build"));
}

}  // namespace quantd
