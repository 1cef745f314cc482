#include "models/tokenizers/pipeline_tokenizer.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/utf8.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

// Positions in a text and its ids are 32-bit inside.
constexpr size_t kMaxTextBytes = size_t{1} << 30;
// Longer words rarely repeat, and comparing them costs.
constexpr size_t kMaxCachedWord = 64;

// An added token may repeat a model token, with the same id; it must not
// contradict the model.
absl::Status CheckAgainstModel(const std::vector<AddedToken>& tokens,
                               const TokenModel& model,
                               absl::string_view origin) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    const AddedToken& token = tokens[i];
    const std::optional<int32_t> model_id = model.IdOf(token.content);
    if (model_id == token.id) continue;
    if (model_id) {
      return absl::InvalidArgumentError(absl::StrCat(
          origin, ": added_tokens[", i, "]: ", Quoted(token.content),
          " has id ", token.id, " here and ", *model_id, " in model.vocab"));
    }
    if (model.TextOf(token.id)) {
      return absl::InvalidArgumentError(absl::StrCat(
          origin, ": added_tokens[", i, "]: id ", token.id, " of ",
          Quoted(token.content), " belongs to another token in model.vocab"));
    }
  }
  return absl::OkStatus();
}

// Decoding is the concatenation of the tokens' bytes; any decoder that does
// more is not this tokenizer's.
absl::Status CheckDecoder(const JsonReader& decoder) {
  ASSIGN_OR_RETURN(const std::string type, decoder.GetString("type"));
  if (type == "ByteLevel" || type == "Fuse") return absl::OkStatus();
  if (type != "Sequence") return decoder.Unsupported("type", Quoted(type));
  ASSIGN_OR_RETURN(const nlohmann::json* members, decoder.GetArray("decoders"));
  for (size_t i = 0; i < members->size(); ++i) {
    ASSIGN_OR_RETURN(
        const JsonReader member,
        JsonReader::Of((*members)[i], decoder.origin(),
                       absl::StrCat(decoder.PathOf("decoders"), "[", i, "]")));
    RETURN_IF_ERROR(CheckDecoder(member));
  }
  return absl::OkStatus();
}

}  // namespace

// One call of Encode().
class PipelineTokenizer::Encoding {
 public:
  Encoding(const PipelineTokenizer& tokenizer, absl::string_view text)
      : tokenizer_(tokenizer), text_(text), cache_(text.size()) {
    // English text has about four bytes a token.
    ids_.reserve(text.size() / 4 + 4);
  }

  absl::StatusOr<std::vector<int32_t>> Run() && {
    RETURN_IF_ERROR(tokenizer_.verbatim_matcher_.Cut(
        text_, [this](absl::string_view part, const AddedToken* token) {
          return token != nullptr ? Append(token) : EncodePart(part);
        }));
    return std::move(ids_);
  }

 private:
  absl::Status Append(const AddedToken* token) {
    ids_.push_back(token->id);
    return absl::OkStatus();
  }

  absl::Status EncodePart(absl::string_view part) {
    if (!tokenizer_.normalizer_.empty()) {
      ASSIGN_OR_RETURN(std::string normalized,
                       tokenizer_.normalizer_.Apply(part));
      // The cache points at words, so they stay until the end.
      scratch_.owned.push_back(std::move(normalized));
      part = scratch_.owned.back();
    }
    return tokenizer_.normalized_matcher_.Cut(
        part, [this](absl::string_view piece, const AddedToken* token) {
          return token != nullptr
                     ? Append(token)
                     : tokenizer_.pre_tokenizer_.Split(
                           piece, scratch_,
                           [this](absl::string_view word) { AddWord(word); });
        });
  }

  void AddWord(absl::string_view word) {
    if (word.size() > kMaxCachedWord) {
      tokenizer_.model_->AppendIds(word, &ids_);
      return;
    }
    WordCache::Entry& entry = cache_.At(word);
    const size_t begin = ids_.size();
    if (entry.word == word) {
      ids_.resize(begin + entry.ids.size);
      std::copy_n(ids_.begin() + entry.ids.begin, entry.ids.size,
                  ids_.begin() + static_cast<ptrdiff_t>(begin));
      return;
    }
    tokenizer_.model_->AppendIds(word, &ids_);
    entry.word = word;
    entry.ids.begin = static_cast<uint32_t>(begin);
    entry.ids.size = static_cast<uint32_t>(ids_.size() - begin);
  }

  const PipelineTokenizer& tokenizer_;
  const absl::string_view text_;
  PreTokenizer::Scratch scratch_;
  WordCache cache_;
  std::vector<int32_t> ids_;
};

absl::StatusOr<std::unique_ptr<PipelineTokenizer>> PipelineTokenizer::Create(
    const JsonReader& file, std::string digest) {
  ASSIGN_OR_RETURN(Normalizer normalizer, Normalizer::Create(file));
  ASSIGN_OR_RETURN(PreTokenizer pre_tokenizer, PreTokenizer::Create(file));
  ASSIGN_OR_RETURN(std::unique_ptr<const TokenModel> model,
                   NewTokenModel(file, pre_tokenizer.byte_level()));
  ASSIGN_OR_RETURN(const std::optional<JsonReader> decoder,
                   file.FindObject("decoder"));
  if (decoder) RETURN_IF_ERROR(CheckDecoder(*decoder));
  ASSIGN_OR_RETURN(const std::vector<AddedToken> tokens, ReadAddedTokens(file));
  RETURN_IF_ERROR(CheckAgainstModel(tokens, *model, file.origin()));

  std::vector<AddedToken> verbatim;
  std::vector<AddedToken> normalized;
  for (const AddedToken& token : tokens) {
    if (!token.normalized) {
      verbatim.push_back(token);
      continue;
    }
    normalized.push_back(token);
    ASSIGN_OR_RETURN(normalized.back().content,
                     normalizer.Apply(token.content));
  }
  std::unique_ptr<PipelineTokenizer> tokenizer(new PipelineTokenizer(
      std::move(normalizer), std::move(pre_tokenizer), std::move(model),
      verbatim, normalized, std::move(digest)));
  int32_t max_id = tokenizer->model_->max_id();
  for (const AddedToken& token : tokens) {
    max_id = std::max(max_id, token.id);
    tokenizer->added_text_of_.emplace(token.id, token.content);
    tokenizer->added_id_of_.emplace(token.content, token.id);
  }
  tokenizer->vocabulary_size_ = max_id + 1;
  return tokenizer;
}

PipelineTokenizer::PipelineTokenizer(Normalizer normalizer,
                                     PreTokenizer pre_tokenizer,
                                     std::unique_ptr<const TokenModel> model,
                                     const std::vector<AddedToken>& verbatim,
                                     const std::vector<AddedToken>& normalized,
                                     std::string digest)
    : normalizer_(std::move(normalizer)),
      pre_tokenizer_(std::move(pre_tokenizer)),
      model_(std::move(model)),
      verbatim_matcher_(verbatim),
      normalized_matcher_(normalized),
      digest_(std::move(digest)) {}

std::optional<int32_t> PipelineTokenizer::IdOf(absl::string_view token) const {
  if (const auto added = added_id_of_.find(token);
      added != added_id_of_.end()) {
    return added->second;
  }
  return model_->IdOf(token);
}

absl::StatusOr<std::vector<int32_t>> PipelineTokenizer::Encode(
    absl::string_view text) const {
  if (text.size() > kMaxTextBytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "text of ", text.size(), " bytes, the limit is ", kMaxTextBytes));
  }
  if (const size_t valid = ValidUtf8Prefix(text); valid != text.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("text is not UTF-8 at byte ", valid));
  }
  return Encoding(*this, text).Run();
}

absl::StatusOr<std::string> PipelineTokenizer::Decode(
    absl::Span<const int32_t> ids) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (const auto added = added_text_of_.find(id);
        added != added_text_of_.end()) {
      bytes += added->second;
      continue;
    }
    const std::optional<absl::string_view> text = model_->TextOf(id);
    if (!text) {
      return absl::OutOfRangeError(absl::StrCat(
          "token id ", id, " is not in the vocabulary of ", vocabulary_size_));
    }
    absl::StrAppend(&bytes, *text);
  }
  return IsValidUtf8(bytes) ? bytes : ReplaceInvalidUtf8(bytes);
}

}  // namespace quantd
