#include "models/tokenizer.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "models/json_text.h"
#include "models/tokenizers/pipeline_tokenizer.h"
#include "models/tokenizers/post_processor.h"
#include "models/tokenizers/sentence_piece_model.h"
#include "models/tokenizers/sentence_piece_tokenizer.h"
#include "models/tokenizers/tokenizer_base.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

using nlohmann::json;

constexpr char kTokenizerFile[] = "tokenizer.json";
constexpr char kSentencePieceFile[] = "tokenizer.model";
constexpr char kTokenizerConfigFile[] = "tokenizer_config.json";
constexpr char kModelConfigFile[] = "config.json";
// The largest published ones are near 40 MB.
constexpr size_t kMaxTokenizerBytes = size_t{256} << 20;
constexpr size_t kMaxConfigBytes = size_t{16} << 20;

// The id that a text of the two config files names as `key` ("bos_token"): a
// string, or an object with the string as "content".
absl::StatusOr<std::optional<int32_t>> MarkerFromTokenizerConfig(
    const JsonReader& config, absl::string_view key,
    const TokenizerBase& tokenizer) {
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

// Texts of the files beside the tokenizer; an empty one is absent.
struct Configs {
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

// The reader points into `*root`, which receives the parsed text.
absl::StatusOr<JsonReader> ReadOptional(absl::string_view text,
                                        absl::string_view origin, json* root) {
  ASSIGN_OR_RETURN(*root, ParseOptional(text, origin));
  return JsonReader::Of(*root, origin);
}

// The special tokens that a tokenizer.model is used with are not in it.
struct ClassRow {
  absl::string_view tokenizer_class;
  bool adds_bos;
  bool adds_eos;
};

// The defaults of the classes that read a tokenizer.model; others add nothing.
constexpr ClassRow kClasses[] = {
    {"CamembertTokenizer", true, true}, {"CodeLlamaTokenizer", true, false},
    {"GemmaTokenizer", true, false},    {"LlamaTokenizer", true, false},
    {"T5Tokenizer", false, true},
};

// tokenizer_config.json with the defaults of its class.
absl::Status ReadSpecialTokens(const JsonReader& config,
                               TokenizerBase::Markers* markers) {
  ASSIGN_OR_RETURN(std::string name, config.GetStringOr("tokenizer_class", ""));
  if (absl::EndsWith(name, "Fast")) name.resize(name.size() - 4);
  ClassRow defaults = {"", false, false};
  for (const ClassRow& row : kClasses) {
    if (row.tokenizer_class == name) defaults = row;
  }
  ASSIGN_OR_RETURN(const bool adds_bos,
                   config.GetBoolOr("add_bos_token", defaults.adds_bos));
  ASSIGN_OR_RETURN(const bool adds_eos,
                   config.GetBoolOr("add_eos_token", defaults.adds_eos));
  if (adds_bos && markers->bos_id) {
    markers->special.before.push_back(*markers->bos_id);
  }
  if (adds_eos && markers->eos_id) {
    markers->special.after.push_back(*markers->eos_id);
  }
  return absl::OkStatus();
}

// `markers` holds what the tokenizer's own file says, if `is_json`, else what
// the SentencePiece model says; returned is what all files together say.
absl::StatusOr<TokenizerBase::Markers> ReadMarkers(
    const Configs& configs, bool is_json, TokenizerBase::Markers markers,
    const TokenizerBase& tokenizer) {
  json root;
  ASSIGN_OR_RETURN(
      const JsonReader config,
      ReadOptional(configs.tokenizer_config, kTokenizerConfigFile, &root));
  json model_root;
  ASSIGN_OR_RETURN(
      const JsonReader model_config,
      ReadOptional(configs.model_config, kModelConfigFile, &model_root));
  const auto read = [&](absl::string_view token_key, absl::string_view id_key,
                        std::optional<int32_t>* marker) -> absl::Status {
    // An explicit null is an answer: there is no such token.
    if (root.contains(std::string(token_key))) {
      ASSIGN_OR_RETURN(*marker,
                       MarkerFromTokenizerConfig(config, token_key, tokenizer));
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const std::optional<int32_t> id,
                     MarkerFromModelConfig(model_config, id_key,
                                           tokenizer.vocabulary_size()));
    if (id) *marker = id;
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(read("bos_token", "bos_token_id", &markers.bos_id));
  RETURN_IF_ERROR(read("eos_token", "eos_token_id", &markers.eos_id));
  if (!is_json) RETURN_IF_ERROR(ReadSpecialTokens(config, &markers));

  const SpecialTokens& special = markers.special;
  for (const std::vector<int32_t>* ids : {&special.before, &special.after}) {
    for (const int32_t id : *ids) {
      if (tokenizer.HasId(id)) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(kTokenizerFile, ": post_processor: adds id ", id,
                       ", which is not in the vocabulary"));
    }
  }
  std::optional<int32_t> leading;
  if (!special.before.empty()) leading = special.before.front();
  if (leading && !markers.bos_id) markers.bos_id = leading;
  ASSIGN_OR_RETURN(const bool adds_bos,
                   config.GetBoolOr("add_bos_token", leading.has_value()));
  if (adds_bos && !markers.bos_id) {
    return config.Fault("add_bos_token", "true, but there is no bos_token");
  }
  if (adds_bos) markers.leading_id = leading ? leading : markers.bos_id;
  return markers;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseJsonTokenizer(
    absl::string_view text, const Configs& configs) {
  JsonLimits limits;
  limits.max_bytes = kMaxTokenizerBytes;
  ASSIGN_OR_RETURN(const json root, ParseJson(text, kTokenizerFile, limits));
  ASSIGN_OR_RETURN(const JsonReader file, JsonReader::Of(root, kTokenizerFile));
  ASSIGN_OR_RETURN(std::unique_ptr<PipelineTokenizer> tokenizer,
                   PipelineTokenizer::Create(file, Sha256Hex(text)));
  TokenizerBase::Markers own;
  ASSIGN_OR_RETURN(own.special, ReadPostProcessor(file));
  ASSIGN_OR_RETURN(
      TokenizerBase::Markers markers,
      ReadMarkers(configs, /*is_json=*/true, std::move(own), *tokenizer));
  tokenizer->set_markers(std::move(markers));
  return tokenizer;
}

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseModelTokenizer(
    absl::string_view bytes, const Configs& configs) {
  auto model = ParseSentencePieceModel(bytes);
  if (!model.ok()) return Annotate(model.status(), kSentencePieceFile);
  TokenizerBase::Markers own;
  own.bos_id = model->bos_id;
  own.eos_id = model->eos_id;
  auto created =
      SentencePieceTokenizer::Create(*std::move(model), Sha256Hex(bytes));
  if (!created.ok()) return Annotate(created.status(), kSentencePieceFile);
  std::unique_ptr<SentencePieceTokenizer> tokenizer = *std::move(created);
  ASSIGN_OR_RETURN(
      TokenizerBase::Markers markers,
      ReadMarkers(configs, /*is_json=*/false, std::move(own), *tokenizer));
  tokenizer->set_markers(std::move(markers));
  return tokenizer;
}

// Empty when there is no such file.
absl::StatusOr<std::string> ReadIfExists(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kMaxConfigBytes);
  if (absl::IsNotFound(text.status())) return std::string();
  return text;
}

}  // namespace

absl::StatusOr<std::vector<int32_t>> Tokenizer::EncodeWithBos(
    absl::string_view text) const {
  ASSIGN_OR_RETURN(std::vector<int32_t> ids, Encode(text));
  if (const std::optional<int32_t> leading = leading_id()) {
    ids.insert(ids.begin(), *leading);
  }
  return ids;
}

absl::StatusOr<int32_t> Tokenizer::PrefixToken() const {
  for (const std::optional<int32_t> id : {bos_id(), eos_id()}) {
    if (id.has_value()) return *id;
  }
  return absl::InvalidArgumentError(
      "the tokenizer names neither a BOS nor an EOS token (bos_token and "
      "eos_token of tokenizer_config.json, bos_token_id and eos_token_id of "
      "config.json): there is no token that could stand before an empty "
      "context "
      "or a document");
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(
    const std::string& directory) {
  const auto path = [&](absl::string_view name) {
    return absl::StrCat(directory, "/", name);
  };
  ASSIGN_OR_RETURN(const std::string tokenizer_config,
                   ReadIfExists(path(kTokenizerConfigFile)));
  ASSIGN_OR_RETURN(const std::string model_config,
                   ReadIfExists(path(kModelConfigFile)));
  const Configs configs = {tokenizer_config, model_config};
  const auto file = ReadFile(path(kTokenizerFile), kMaxTokenizerBytes);
  if (file.ok()) {
    return Annotate(ParseJsonTokenizer(*file, configs), directory);
  }
  if (!absl::IsNotFound(file.status())) return file.status();
  const auto model = ReadFile(path(kSentencePieceFile), kMaxTokenizerBytes);
  if (model.ok()) {
    return Annotate(ParseModelTokenizer(*model, configs), directory);
  }
  if (!absl::IsNotFound(model.status())) return model.status();
  return absl::NotFoundError(absl::StrCat(
      directory, ": neither ", kTokenizerFile, " nor ", kSentencePieceFile));
}

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseTokenizer(
    absl::string_view tokenizer_json, absl::string_view config) {
  return ParseJsonTokenizer(tokenizer_json, {config, ""});
}

absl::StatusOr<std::unique_ptr<Tokenizer>> ParseSentencePieceTokenizer(
    absl::string_view tokenizer_model, absl::string_view config) {
  return ParseModelTokenizer(tokenizer_model, {config, ""});
}

}  // namespace quantd
