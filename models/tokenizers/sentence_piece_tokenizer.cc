#include "models/tokenizers/sentence_piece_tokenizer.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "models/tokenizers/sentence_piece_encoder.h"
#include "models/tokenizers/vocabulary.h"
#include "models/tokenizers/word_encoder.h"

namespace quantd {
namespace {

constexpr absl::string_view kReplacementCharacter = "\xEF\xBF\xBD";

// Unlike elsewhere, every byte that belongs to no character becomes U+FFFD.
void AppendBytesAsText(absl::string_view bytes, std::string* text) {
  while (!bytes.empty()) {
    const size_t valid = ValidUtf8Prefix(bytes);
    absl::StrAppend(text, bytes.substr(0, valid));
    if (valid == bytes.size()) return;
    absl::StrAppend(text, kReplacementCharacter);
    bytes.remove_prefix(valid + 1);
  }
}

std::optional<SentencePieceNormalizer> NewDenormalizer(
    const SentencePieceModel& model) {
  if (!model.denormalizer) return std::nullopt;
  return SentencePieceNormalizer(*model.denormalizer, ByteTrie(),
                                 /*space_as_suffix=*/false);
}

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(SentencePieceModel model,
                                               std::string digest)
    : TokenizerBase(std::move(digest)),
      model_(std::move(model)),
      vocabulary_(model_),
      normalizer_(model_.normalizer, vocabulary_.user_defined(),
                  model_.treat_whitespace_as_suffix),
      denormalizer_(NewDenormalizer(model_)),
      encoder_(NewSentencePieceEncoder(vocabulary_)) {}

absl::StatusOr<std::unique_ptr<SentencePieceTokenizer>>
SentencePieceTokenizer::Create(SentencePieceModel model, std::string digest) {
  std::unique_ptr<SentencePieceTokenizer> tokenizer(
      new SentencePieceTokenizer(std::move(model), std::move(digest)));
  return tokenizer;
}

std::optional<int32_t> SentencePieceTokenizer::IdOf(
    absl::string_view token) const {
  return vocabulary_.Find(token);
}

absl::StatusOr<std::vector<int32_t>> SentencePieceTokenizer::Encode(
    absl::string_view text) const {
  RETURN_IF_ERROR(CheckText(text));
  ASSIGN_OR_RETURN(const std::string normalized, normalizer_.Apply(text));
  WordEncoder encoder(*encoder_, normalized.size());
  if (!normalized.empty()) encoder.AddWord(normalized);
  return std::move(encoder).TakeIds();
}

std::string SentencePieceTokenizer::Surface(const SentencePiece& piece,
                                            bool at_start,
                                            bool* took_space) const {
  *took_space = false;
  if (piece.type == PieceType::kControl) return "";
  if (piece.type == PieceType::kUnknown) return model_.unknown_surface;
  const SentencePieceNormalizerSpec& spec = model_.normalizer;
  absl::string_view text = piece.text;
  if (at_start && (spec.add_dummy_prefix || spec.remove_extra_whitespaces)) {
    *took_space = absl::ConsumePrefix(&text, kPieceSpace);
    // Of spaces that would have been removed, all those in front are.
    if (spec.remove_extra_whitespaces) *took_space = false;
  }
  return absl::StrReplaceAll(text, {{kPieceSpace, " "}});
}

absl::StatusOr<std::string> SentencePieceTokenizer::Decode(
    absl::Span<const int32_t> ids) const {
  std::string text;
  std::string bytes;  // of the run of byte pieces just read
  bool at_start = true;
  bool took_space = false;
  for (const int32_t id : ids) {
    if (!vocabulary_.Has(id)) return UnknownId(id);
    const SentencePiece& piece = vocabulary_.piece(id);
    if (piece.type == PieceType::kByte) {
      bytes.push_back(
          static_cast<char>(ByteTokens::ByteOf(piece.text).value_or(0)));
      continue;
    }
    AppendBytesAsText(bytes, &text);
    bytes.clear();
    if (took_space || !text.empty()) at_start = false;
    text += Surface(piece, at_start, &took_space);
  }
  AppendBytesAsText(bytes, &text);
  return denormalizer_ ? denormalizer_->Apply(text) : text;
}

}  // namespace quantd
