#include "evaluators/contamination.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/utf8.h"
#include "evaluators/ngram_hash.h"
#include "models/tokenizers/character_class.h"
#include "models/tokenizers/lowercase.h"

namespace quantd {
namespace {

constexpr int kLongestNgram = 1000;

// Hashes of the words that take part in the comparison.
std::vector<uint64_t> HashWords(absl::string_view text) {
  const std::string valid = ReplaceInvalidUtf8(text);
  std::vector<uint64_t> hashes;
  std::string word;
  size_t length = 0;
  for (size_t pos = 0; pos < valid.size(); pos += length) {
    const char32_t c = DecodeUtf8(valid, pos, &length);
    if (IsWhiteSpace(c)) {
      if (!word.empty()) hashes.push_back(HashOfWord(word));
      word.clear();
    } else if (!IsPunctuation(c)) {
      AppendLowercase(c, &word);
    }
  }
  if (!word.empty()) hashes.push_back(HashOfWord(word));
  return hashes;
}

std::vector<uint64_t> HashTokens(absl::Span<const int32_t> tokens) {
  std::vector<uint64_t> hashes;
  hashes.reserve(tokens.size());
  for (int32_t token : tokens) hashes.push_back(HashOfToken(token));
  return hashes;
}

}  // namespace

absl::StatusOr<CalibrationNgrams> CalibrationNgrams::Create(
    const ContaminationOptions& options) {
  if (options.n < 1 || options.n > kLongestNgram) {
    return absl::InvalidArgumentError(
        absl::StrCat("n: ", options.n, " is not in 1..", kLongestNgram));
  }
  if (!(options.tolerated_share >= 0 && options.tolerated_share < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("tolerated_share: ", options.tolerated_share,
                     " is not at least 0 and below 1"));
  }
  return CalibrationNgrams(options);
}

absl::Status CalibrationNgrams::AddText(absl::string_view text) {
  return Add(HashWords(text));
}

absl::Status CalibrationNgrams::AddTokens(absl::Span<const int32_t> tokens) {
  return Add(HashTokens(tokens));
}

absl::Status CalibrationNgrams::Add(const std::vector<uint64_t>& units) {
  bool is_full = false;
  ForEachNgram(units, static_cast<size_t>(options_.n), [&](uint64_t hash) {
    if (hashes_.contains(hash)) return;
    if (hashes_.size() >= options_.most_ngrams) {
      is_full = true;
    } else {
      hashes_.insert(hash);
    }
  });
  if (!is_full) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the calibration text has more than ", options_.most_ngrams,
                   " distinct ", options_.n, "-grams"));
}

WindowOverlap CalibrationNgrams::OverlapOfText(absl::string_view window) const {
  return Overlap(HashWords(window));
}

WindowOverlap CalibrationNgrams::OverlapOfTokens(
    absl::Span<const int32_t> window) const {
  return Overlap(HashTokens(window));
}

WindowOverlap CalibrationNgrams::Overlap(
    const std::vector<uint64_t>& units) const {
  WindowOverlap overlap;
  ForEachNgram(units, static_cast<size_t>(options_.n), [&](uint64_t hash) {
    ++overlap.ngrams;
    overlap.shared += hashes_.contains(hash);
  });
  return overlap;
}

ContaminationReport CalibrationNgrams::Report(
    absl::Span<const WindowOverlap> windows) const {
  ContaminationReport report;
  WindowOverlap all;
  for (const WindowOverlap& window : windows) {
    ++report.windows;
    report.contaminated += IsContaminated(window);
    report.too_short += window.ngrams == 0;
    all.ngrams += window.ngrams;
    all.shared += window.shared;
  }
  report.shared_share = all.share();
  return report;
}

}  // namespace quantd
