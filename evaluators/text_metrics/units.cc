#include "evaluators/text_metrics/units.h"

#include <algorithm>

#include "base/utf8.h"
#include "models/tokenizers/character_class.h"
#include "models/tokenizers/lowercase.h"

namespace quantd {

std::vector<absl::string_view> SplitOnWhiteSpace(absl::string_view text) {
  std::vector<absl::string_view> words;
  size_t begin = 0;
  size_t pos = 0;
  while (pos < text.size()) {
    size_t length = 0;
    const bool is_space = IsWhiteSpace(DecodeUtf8(text, pos, &length));
    if (is_space) {
      if (pos > begin) words.push_back(text.substr(begin, pos - begin));
      begin = pos + length;
    }
    pos += length;
  }
  if (pos > begin) words.push_back(text.substr(begin));
  return words;
}

std::string Lowercase(absl::string_view text) {
  std::string lower;
  lower.reserve(text.size());
  size_t length = 0;
  for (size_t pos = 0; pos < text.size(); pos += length) {
    AppendLowercase(DecodeUtf8(text, pos, &length), &lower);
  }
  return lower;
}

UnitSequence UnitSequence::Words(absl::string_view text) {
  const std::string valid = ReplaceInvalidUtf8(text);
  return OfWords(SplitOnWhiteSpace(valid));
}

UnitSequence UnitSequence::OfWords(
    const std::vector<absl::string_view>& words) {
  UnitSequence units;
  for (absl::string_view word : words) {
    if (!units.text_.empty()) units.text_.push_back(' ');
    units.Add(word);
  }
  return units;
}

UnitSequence UnitSequence::Characters(absl::string_view text) {
  const std::string valid = ReplaceInvalidUtf8(text);
  UnitSequence units;
  size_t length = 0;
  for (size_t pos = 0; pos < valid.size(); pos += length) {
    if (IsWhiteSpace(DecodeUtf8(valid, pos, &length))) continue;
    units.Add(absl::string_view(valid).substr(pos, length));
  }
  return units;
}

NgramCounts CountNgrams(const UnitSequence& units, size_t n) {
  NgramCounts counts;
  const size_t count = units.NgramCount(n);
  counts.reserve(count);
  for (size_t i = 0; i < count; ++i) ++counts[units.Ngram(i, n)];
  return counts;
}

uint64_t CountMatches(const NgramCounts& one, const NgramCounts& other) {
  uint64_t matches = 0;
  for (const auto& [ngram, count] : one) {
    const auto it = other.find(ngram);
    if (it != other.end()) matches += std::min(count, it->second);
  }
  return matches;
}

}  // namespace quantd
