#include "models/tokenizers/sentence_piece_normalizer.h"

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/utf8.h"

namespace quantd {
namespace {

// Every space becomes three bytes, and a rule may make many of one.
constexpr size_t kMaxBytes = size_t{2} << 30;

}  // namespace

SentencePieceNormalizer::SentencePieceNormalizer(
    SentencePieceNormalizerSpec spec, ByteTrie verbatim, bool space_as_suffix)
    : spec_(std::move(spec)),
      verbatim_(std::move(verbatim)),
      space_as_suffix_(space_as_suffix) {
  // A character before which no longer key can begin.
  for (size_t c = 0; c < plain_.size(); ++c) {
    plain_[c] = !spec_.charsmap.MayBeginWith(static_cast<char>(c)) &&
                !verbatim_.MayBeginWith(static_cast<uint8_t>(c)) && c != ' ';
  }
}

SentencePieceNormalizer::Step SentencePieceNormalizer::Next(
    absl::string_view text, size_t pos) const {
  if (const ByteTrie::Match match = verbatim_.Longest(text, pos);
      match.length > 0) {
    return {match.length, text.substr(pos, match.length)};
  }
  if (const auto rule = spec_.charsmap.Longest(text.substr(pos))) {
    return {rule->length, rule->replacement};
  }
  size_t length = 0;
  DecodeUtf8(text, pos, &length);
  return {length, text.substr(pos, length)};
}

absl::StatusOr<std::string> SentencePieceNormalizer::Apply(
    absl::string_view text) const {
  const bool trims = spec_.remove_extra_whitespaces;
  const absl::string_view space =
      spec_.escape_whitespaces ? kPieceSpace : absl::string_view(" ");
  size_t pos = 0;
  while (trims && pos < text.size()) {
    const Step step = Next(text, pos);
    if (step.result != " ") break;
    pos += step.length;
  }
  std::string result;
  if (pos == text.size()) return result;
  result.reserve(text.size() + text.size() / 2);
  if (spec_.add_dummy_prefix && !space_as_suffix_) {
    absl::StrAppend(&result, space);
  }
  bool after_space = trims;
  while (pos < text.size()) {
    if (const auto byte = static_cast<uint8_t>(text[pos]);
        byte < plain_.size() && plain_[byte]) {
      result.push_back(text[pos++]);
      after_space = false;
      continue;
    }
    const Step step = Next(text, pos);
    absl::string_view piece = step.result;
    while (after_space && absl::StartsWith(piece, " ")) piece.remove_prefix(1);
    for (const char c : piece) {
      if (c == ' ') {
        absl::StrAppend(&result, space);
      } else {
        result.push_back(c);
      }
    }
    // A piece that vanished says nothing about what stands before the next.
    if (!piece.empty()) after_space = trims && absl::EndsWith(piece, " ");
    if (result.size() > kMaxBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("normalized text of more than ", kMaxBytes, " bytes"));
    }
    pos += step.length;
  }
  while (trims && absl::EndsWith(result, space)) {
    result.resize(result.size() - space.size());
  }
  if (spec_.add_dummy_prefix && space_as_suffix_) {
    absl::StrAppend(&result, space);
  }
  return result;
}

}  // namespace quantd
