#include "models/tokenizer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "models/json_text.h"
#include "models/tokenizers/pipeline_tokenizer.h"
#include "models/tokenizers/post_processor.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

using nlohmann::json;

constexpr char kTokenizerFile[] = "tokenizer.json";
constexpr char kTokenizerConfigFile[] = "tokenizer_config.json";
constexpr char kModelConfigFile[] = "config.json";
// The largest published ones are near 40 MB.
constexpr size_t kMaxTokenizerBytes = size_t{256} << 20;
constexpr size_t kMaxConfigBytes = size_t{16} << 20;

// The id that a text of the two config files names as `key` ("bos_token"): a
// string, or an object with the string as "content".
absl::StatusOr<std::optional<int32_t>> MarkerFromTokenizerConfig(
    const JsonReader& config, absl::string_view key,
    const PipelineTokenizer& tokenizer) {
  const json* member = config.Find(key);
  if (member == nullptr) return std::optional<int32_t>();
  std::string content;
  if (member->is_object()) {
    ASSIGN_OR_RETURN(const JsonReader token, config.GetObject(key));
    ASSIGN_OR_RETURN(content, token.GetString("content"));
  } else {
    ASSIGN_OR_RETURN(content, config.GetString(key));
  }
  const std::optional<int32_t> id = tokenizer.IdOf(content);
  if (!id) {
    return config.Fault(
        key, absl::StrCat(Quoted(content), " is not in the vocabulary"));
  }
  return id;
}

// config.json names ids; the first of a list is the main one.
absl::StatusOr<std::optional<int32_t>> MarkerFromModelConfig(
    const JsonReader& config, absl::string_view key, int vocabulary_size) {
  const json* member = config.Find(key);
  if (member != nullptr && member->is_array()) {
    if (member->empty()) return std::optional<int32_t>();
    member = &(*member)[0];
  }
  if (member == nullptr) return std::optional<int32_t>();
  if (!member->is_number_unsigned() ||
      member->get<uint64_t>() >= static_cast<uint64_t>(vocabulary_size)) {
    return config.Fault(
        key, absl::StrCat("expected an id below ", vocabulary_size, ", got ",
                          DescribeJson(*member)));
  }
  return std::optional<int32_t>(member->get<int32_t>());
}

// Texts of the files; an empty one is absent.
struct Texts {
  absl::string_view tokenizer;
  absl::string_view tokenizer_config;
  absl::string_view model_config;
};

absl::StatusOr<json> ParseOptional(absl::string_view text,
                                   absl::string_view origin) {
  if (text.empty()) return json::object();
  JsonLimits limits;
  limits.max_bytes = kMaxConfigBytes;
  return ParseJson(text, origin, limits);
}

absl::StatusOr<PipelineTokenizer::Markers> ReadMarkers(
    const Texts& texts, std::optional<int32_t> leading,
    const PipelineTokenizer& tokenizer) {
  ASSIGN_OR_RETURN(const json root,
                   ParseOptional(texts.tokenizer_config, kTokenizerConfigFile));
  ASSIGN_OR_RETURN(const JsonReader config,
                   JsonReader::Of(root, kTokenizerConfigFile));
  ASSIGN_OR_RETURN(const json model_root,
                   ParseOptional(texts.model_config, kModelConfigFile));
  ASSIGN_OR_RETURN(const JsonReader model_config,
                   JsonReader::Of(model_root, kModelConfigFile));

  PipelineTokenizer::Markers markers;
  const auto read =
      [&](absl::string_view token_key,
          absl::string_view id_key) -> absl::StatusOr<std::optional<int32_t>> {
    // An explicit null is an answer: there is no such token.
    if (root.contains(std::string(token_key))) {
      return MarkerFromTokenizerConfig(config, token_key, tokenizer);
    }
    return MarkerFromModelConfig(model_config, id_key,
                                 tokenizer.vocabulary_size());
  };
  ASSIGN_OR_RETURN(markers.bos_id, read("bos_token", "bos_token_id"));
  ASSIGN_OR_RETURN(markers.eos_id, read("eos_token", "eos_token_id"));

  if (leading && !tokenizer.Decode({*leading}).ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kTokenizerFile, ": post_processor: begins texts with id ",
                     *leading, ", which is not in the vocabulary"));
  }
  if (leading && !markers.bos_id) markers.bos_id = leading;
  ASSIGN_OR_RETURN(markers.adds_bos,
                   config.GetBoolOr("add_bos_token", leading.has_value()));
  if (markers.adds_bos && !markers.bos_id) {
    return config.Fault("add_bos_token", "true, but there is no bos_token");
  }
  if (markers.adds_bos && leading && leading != markers.bos_id) {
    return absl::UnimplementedError(absl::StrCat(
        kTokenizerFile, ": post_processor: begins texts with token ", *leading,
        ", which is not the BOS token ", *markers.bos_id,
        "; that is not supported by this build"));
  }
  return markers;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> Parse(const Texts& texts) {
  JsonLimits limits;
  limits.max_bytes = kMaxTokenizerBytes;
  ASSIGN_OR_RETURN(const json root,
                   ParseJson(texts.tokenizer, kTokenizerFile, limits));
  ASSIGN_OR_RETURN(const JsonReader file, JsonReader::Of(root, kTokenizerFile));
  ASSIGN_OR_RETURN(std::unique_ptr<PipelineTokenizer> tokenizer,
                   PipelineTokenizer::Create(file, Sha256Hex(texts.tokenizer)));
  ASSIGN_OR_RETURN(const std::optional<int32_t> leading,
                   ReadLeadingToken(file));
  ASSIGN_OR_RETURN(const PipelineTokenizer::Markers markers,
                   ReadMarkers(texts, leading, *tokenizer));
  tokenizer->set_markers(markers);
  return tokenizer;
}

// Empty when there is no such file.
absl::StatusOr<std::string> ReadIfExists(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kMaxConfigBytes);
  if (absl::IsNotFound(text.status())) return std::string();
  return text;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(
    const std::string& directory) {
  const auto path = [&](absl::string_view name) {
    return absl::StrCat(directory, "/", name);
  };
  ASSIGN_OR_RETURN(const std::string tokenizer,
                   ReadFile(path(kTokenizerFile), kMaxTokenizerBytes));
  ASSIGN_OR_RETURN(const std::string tokenizer_config,
                   ReadIfExists(path(kTokenizerConfigFile)));
  ASSIGN_OR_RETURN(const std::string model_config,
                   ReadIfExists(path(kModelConfigFile)));
  return Annotate(Parse({tokenizer, tokenizer_config, model_config}),
                  directory);
}

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseTokenizer(
    absl::string_view tokenizer_json, absl::string_view config) {
  return Parse({tokenizer_json, config, ""});
}

}  // namespace quantd
