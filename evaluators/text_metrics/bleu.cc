#include "evaluators/text_metrics/bleu.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/utf8.h"
#include "evaluators/text_metrics/units.h"

namespace quantd {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsPoint(char c) { return c == '.' || c == ','; }

// ASCII but letters, digits, controls and the marks ' , - . that may be inside
// of words and numbers.
bool IsApart(char c) {
  return (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || c == '/' ||
         (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

// Puts blanks around the mark of each pair that `is_pair` accepts. As a regular
// expression does it, a character belongs to one pair only, the first.
template <typename IsPair, typename Append>
std::string ReplacePairs(const std::string& text, IsPair is_pair,
                         Append append) {
  std::string result;
  result.reserve(text.size() + text.size() / 4);
  size_t i = 0;
  while (i < text.size()) {
    if (i + 1 < text.size() && is_pair(text[i], text[i + 1])) {
      append(text[i], text[i + 1], &result);
      i += 2;
    } else {
      result.push_back(text[i++]);
    }
  }
  return result;
}

void AppendMarkSecond(char first, char mark, std::string* text) {
  text->append({first, ' ', mark, ' '});
}

void AppendMarkFirst(char mark, char second, std::string* text) {
  text->append({' ', mark, ' ', second});
}

UnitSequence Tokenize(absl::string_view text, const BleuOptions& options) {
  std::string valid = ReplaceInvalidUtf8(text);
  if (options.lowercase) valid = Lowercase(valid);
  // A hyphen that ends the text is not one that splits a word over lines.
  absl::StripTrailingAsciiWhitespace(&valid);
  return UnitSequence::Words(options.tokenization == BleuTokenization::k13a
                                 ? Tokenize13a(valid)
                                 : valid);
}

BleuScore Score(const BleuStatistics& statistics, BleuSmoothing smoothing,
                bool only_orders_reached) {
  BleuScore bleu;
  const double hypothesis = static_cast<double>(statistics.hypothesis_length);
  const double reference = static_cast<double>(statistics.reference_length);
  if (statistics.hypothesis_length > 0) {
    bleu.brevity_penalty =
        hypothesis < reference ? std::exp(1 - reference / hypothesis) : 1;
  }
  const bool any_match =
      std::any_of(statistics.matches.begin(), statistics.matches.end(),
                  [](uint64_t count) { return count > 0; });
  if (!any_match) return bleu;
  double shrink = 1;
  double sum = 0;
  size_t orders = 0;
  for (size_t n = 0; n < kBleuOrder && statistics.ngrams[n] > 0; ++n) {
    const double ngrams = static_cast<double>(statistics.ngrams[n]);
    double matches = static_cast<double>(statistics.matches[n]);
    if (matches == 0 && smoothing == BleuSmoothing::kExponential) {
      shrink *= 2;
      matches = 1 / shrink;
    }
    bleu.precisions[n] = 100 * matches / ngrams;
    sum += std::log(bleu.precisions[n] / 100);  // -infinity for 0
    ++orders;
  }
  if (!only_orders_reached && orders < kBleuOrder) return bleu;
  bleu.score =
      100 * bleu.brevity_penalty * std::exp(sum / static_cast<double>(orders));
  return bleu;
}

}  // namespace

std::string Tokenize13a(absl::string_view text) {
  std::string line = absl::StrReplaceAll(text, {{"<skipped>", ""}});
  line = absl::StrReplaceAll(line, {{"-\n", ""}});
  line = absl::StrReplaceAll(line, {{"\n", " "}});
  // One after the other: "&amp;lt;" becomes "<".
  line = absl::StrReplaceAll(line, {{"&quot;", "\""}});
  line = absl::StrReplaceAll(line, {{"&amp;", "&"}});
  line = absl::StrReplaceAll(line, {{"&lt;", "<"}});
  line = absl::StrReplaceAll(line, {{"&gt;", ">"}});
  std::string apart = " ";
  for (char c : line) {
    if (IsApart(c)) {
      apart.append({' ', c, ' '});
    } else {
      apart.push_back(c);
    }
  }
  apart.push_back(' ');
  apart = ReplacePairs(
      apart, [](char a, char b) { return !IsDigit(a) && IsPoint(b); },
      AppendMarkSecond);
  apart = ReplacePairs(
      apart, [](char a, char b) { return IsPoint(a) && !IsDigit(b); },
      AppendMarkFirst);
  apart = ReplacePairs(
      apart, [](char a, char b) { return IsDigit(a) && b == '-'; },
      AppendMarkSecond);
  // Bytes were only parted before and after ASCII, but the text may not have
  // been valid.
  const std::string valid = ReplaceInvalidUtf8(apart);
  return absl::StrJoin(SplitOnWhiteSpace(valid), " ");
}

BleuStatistics& BleuStatistics::operator+=(const BleuStatistics& other) {
  hypothesis_length += other.hypothesis_length;
  reference_length += other.reference_length;
  for (size_t n = 0; n < kBleuOrder; ++n) {
    ngrams[n] += other.ngrams[n];
    matches[n] += other.matches[n];
  }
  return *this;
}

absl::StatusOr<BleuStatistics> CountBleu(
    absl::string_view hypothesis, absl::Span<const std::string> references,
    const BleuOptions& options) {
  if (references.empty()) {
    return absl::InvalidArgumentError("BLEU without a reference");
  }
  const UnitSequence words = Tokenize(hypothesis, options);
  std::vector<UnitSequence> reference_words;
  reference_words.reserve(references.size());
  BleuStatistics statistics;
  statistics.hypothesis_length = words.size();
  const auto distance = [&](uint64_t length) {
    return std::max<uint64_t>(length, words.size()) -
           std::min<uint64_t>(length, words.size());
  };
  for (const std::string& reference : references) {
    const uint64_t length =
        reference_words.emplace_back(Tokenize(reference, options)).size();
    const uint64_t closest = statistics.reference_length;
    if (reference_words.size() == 1 || distance(length) < distance(closest) ||
        (distance(length) == distance(closest) && length < closest)) {
      statistics.reference_length = length;
    }
  }
  for (size_t n = 1; n <= kBleuOrder; ++n) {
    NgramCounts most;
    for (const UnitSequence& reference : reference_words) {
      for (const auto& [ngram, count] : CountNgrams(reference, n)) {
        uint64_t& known = most[ngram];
        known = std::max(known, count);
      }
    }
    statistics.ngrams[n - 1] = words.NgramCount(n);
    statistics.matches[n - 1] = CountMatches(CountNgrams(words, n), most);
  }
  return statistics;
}

BleuScore CorpusBleu(const BleuStatistics& statistics,
                     BleuSmoothing smoothing) {
  return Score(statistics, smoothing, /*only_orders_reached=*/false);
}

BleuScore SentenceBleu(const BleuStatistics& statistics,
                       BleuSmoothing smoothing) {
  return Score(statistics, smoothing, /*only_orders_reached=*/true);
}

std::string BleuSignature(const BleuOptions& options, size_t references,
                          bool of_sentences) {
  return absl::StrCat(
      "BLEU|nrefs:", references, "|case:", options.lowercase ? "lc" : "mixed",
      "|eff:", of_sentences ? "yes" : "no",
      "|tok:", options.tokenization == BleuTokenization::k13a ? "13a" : "none",
      "|smooth:",
      options.smoothing == BleuSmoothing::kExponential ? "exp" : "none");
}

}  // namespace quantd
