#include "models/tokenizers/pipeline_tokenizer.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/tokenizers/word_encoder.h"

namespace quantd {
namespace {

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
    if (model.TokenOf(token.id)) {
      return absl::InvalidArgumentError(absl::StrCat(
          origin, ": added_tokens[", i, "]: id ", token.id, " of ",
          Quoted(token.content), " belongs to another token in model.vocab"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

// One call of Encode().
class PipelineTokenizer::Encoding {
 public:
  Encoding(const PipelineTokenizer& tokenizer, absl::string_view text)
      : tokenizer_(tokenizer),
        text_(text),
        encoder_(*tokenizer.model_, text.size()) {}

  absl::StatusOr<std::vector<int32_t>> Run() && {
    RETURN_IF_ERROR(tokenizer_.verbatim_matcher_.Cut(
        text_, [this](absl::string_view part, const AddedToken* token) {
          return token != nullptr ? Append(token) : EncodePart(part);
        }));
    return std::move(encoder_).TakeIds();
  }

 private:
  absl::Status Append(const AddedToken* token) {
    encoder_.AddId(token->id);
    return absl::OkStatus();
  }

  absl::Status EncodePart(absl::string_view part) {
    bool at_start = part.data() == text_.data();
    if (!tokenizer_.normalizer_.empty()) {
      bool drops_start = false;
      ASSIGN_OR_RETURN(std::string normalized,
                       tokenizer_.normalizer_.Apply(part, &drops_start));
      at_start = at_start && !drops_start;
      normalized_bytes_ += normalized.size();
      if (normalized_bytes_ > kMaxTextBytes) {
        return absl::ResourceExhaustedError(absl::StrCat(
            "normalized text of more than ", kMaxTextBytes, " bytes"));
      }
      // The encoder points at words, so they stay until the end.
      normalized_.push_back(std::move(normalized));
      part = normalized_.back();
    }
    return tokenizer_.normalized_matcher_.Cut(
        part, [&](absl::string_view piece, const AddedToken* token) {
          if (token != nullptr) return Append(token);
          return tokenizer_.pre_tokenizer_.Split(
              {piece, at_start && piece.data() == part.data()}, scratch_,
              [this](absl::string_view word) { encoder_.AddWord(word); });
        });
  }

  const PipelineTokenizer& tokenizer_;
  const absl::string_view text_;
  std::deque<std::string> normalized_;
  size_t normalized_bytes_ = 0;
  PreTokenizer::Scratch scratch_;
  WordEncoder encoder_;
};

absl::StatusOr<std::unique_ptr<PipelineTokenizer>> PipelineTokenizer::Create(
    const JsonReader& file, std::string digest) {
  Parts parts;
  ASSIGN_OR_RETURN(parts.normalizer, Normalizer::Create(file));
  ASSIGN_OR_RETURN(parts.pre_tokenizer, PreTokenizer::Create(file));
  // A model that takes bytes spares spelling them out.
  WordForm form = WordForm::kText;
  if (parts.pre_tokenizer.ends_in_byte_spelling()) {
    ASSIGN_OR_RETURN(parts.model, NewTokenModel(file, WordForm::kBytes));
    if (parts.model != nullptr) {
      parts.pre_tokenizer.DropByteSpelling();
      form = WordForm::kBytes;
    }
  }
  if (parts.model == nullptr) {
    ASSIGN_OR_RETURN(parts.model, NewTokenModel(file, form));
  }
  ASSIGN_OR_RETURN(parts.decoder, TokenDecoder::Create(file, form));
  ASSIGN_OR_RETURN(const std::vector<AddedToken> tokens, ReadAddedTokens(file));
  RETURN_IF_ERROR(CheckAgainstModel(tokens, *parts.model, file.origin()));
  for (const AddedToken& token : tokens) {
    if (!token.normalized) {
      parts.verbatim.push_back(token);
      continue;
    }
    AddedToken normalized = token;
    ASSIGN_OR_RETURN(normalized.content, parts.normalizer.Apply(token.content));
    // What the normalizer removes cannot be found behind it.
    if (!normalized.content.empty()) {
      parts.normalized.push_back(std::move(normalized));
    }
  }
  std::unique_ptr<PipelineTokenizer> tokenizer(
      new PipelineTokenizer(std::move(parts), std::move(digest)));
  int32_t max_id = tokenizer->model_->max_id();
  for (const AddedToken& token : tokens) {
    max_id = std::max(max_id, token.id);
    tokenizer->added_text_of_.emplace(token.id, token.content);
    tokenizer->added_id_of_.emplace(token.content, token.id);
  }
  tokenizer->vocabulary_size_ = max_id + 1;
  return tokenizer;
}

PipelineTokenizer::PipelineTokenizer(Parts parts, std::string digest)
    : TokenizerBase(std::move(digest)),
      normalizer_(std::move(parts.normalizer)),
      pre_tokenizer_(std::move(parts.pre_tokenizer)),
      model_(std::move(parts.model)),
      decoder_(std::move(parts.decoder)),
      verbatim_matcher_(std::move(parts.verbatim)),
      normalized_matcher_(std::move(parts.normalized)) {}

std::optional<int32_t> PipelineTokenizer::IdOf(absl::string_view token) const {
  if (const auto added = added_id_of_.find(token);
      added != added_id_of_.end()) {
    return added->second;
  }
  return model_->IdOf(token);
}

bool PipelineTokenizer::HasId(int32_t id) const {
  return added_text_of_.contains(id) || model_->TokenOf(id).has_value();
}

absl::StatusOr<std::vector<int32_t>> PipelineTokenizer::Encode(
    absl::string_view text) const {
  RETURN_IF_ERROR(CheckText(text));
  return Encoding(*this, text).Run();
}

absl::StatusOr<std::string> PipelineTokenizer::Decode(
    absl::Span<const int32_t> ids) const {
  DecodedPieces pieces;
  pieces.reserve(ids.size());
  for (const int32_t id : ids) {
    if (const auto added = added_text_of_.find(id);
        added != added_text_of_.end()) {
      pieces.push_back({added->second, /*is_added=*/true});
      continue;
    }
    const std::optional<absl::string_view> token = model_->TokenOf(id);
    if (!token) return UnknownId(id);
    pieces.push_back({std::string(*token)});
  }
  return decoder_.Decode(std::move(pieces));
}

}  // namespace quantd
