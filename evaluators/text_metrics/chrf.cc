#include "evaluators/text_metrics/chrf.h"

#include <cmath>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "evaluators/text_metrics/units.h"

namespace quantd {
namespace {

constexpr int kMostOrders = 16;

absl::Status CheckOptions(const ChrfOptions& options) {
  if (options.char_order < 1 || options.char_order > kMostOrders) {
    return absl::InvalidArgumentError(
        absl::StrCat("char_order: ", options.char_order, " is not in 1..16"));
  }
  if (options.word_order < 0 || options.word_order > kMostOrders) {
    return absl::InvalidArgumentError(
        absl::StrCat("word_order: ", options.word_order, " is not in 0..16"));
  }
  if (!(options.beta > 0) || std::isinf(options.beta)) {
    return absl::InvalidArgumentError(
        absl::StrCat("beta: ", options.beta, " is not above 0"));
  }
  return absl::OkStatus();
}

bool IsPunctuationMark(char c) {
  return absl::ascii_ispunct(static_cast<unsigned char>(c));
}

// REQUIRES: valid UTF-8, which keeps an ASCII byte a whole character.
UnitSequence WordsAndMarks(absl::string_view text) {
  std::vector<absl::string_view> parts;
  for (absl::string_view word : SplitOnWhiteSpace(text)) {
    size_t first = 0;
    DecodeUtf8(word, 0, &first);
    if (word.size() > first && IsPunctuationMark(word.back())) {
      parts.push_back(word.substr(0, word.size() - 1));
      parts.push_back(word.substr(word.size() - 1));
    } else if (word.size() > first && IsPunctuationMark(word.front())) {
      parts.push_back(word.substr(0, 1));
      parts.push_back(word.substr(1));
    } else {
      parts.push_back(word);
    }
  }
  return UnitSequence::OfWords(parts);
}

struct Units {
  Units(absl::string_view text, const ChrfOptions& options) {
    std::string valid = ReplaceInvalidUtf8(text);
    if (options.lowercase) valid = Lowercase(valid);
    characters = UnitSequence::Characters(valid);
    if (options.word_order > 0) words = WordsAndMarks(valid);
  }

  UnitSequence characters;
  UnitSequence words;
};

ChrfStatistics::Order CountOrder(const UnitSequence& hypothesis,
                                 const UnitSequence& reference, size_t n) {
  ChrfStatistics::Order order;
  order.reference = reference.NgramCount(n);
  if (order.reference == 0) return order;
  order.hypothesis = hypothesis.NgramCount(n);
  order.matches =
      CountMatches(CountNgrams(hypothesis, n), CountNgrams(reference, n));
  return order;
}

}  // namespace

ChrfStatistics& ChrfStatistics::operator+=(const ChrfStatistics& other) {
  if (orders.size() < other.orders.size()) orders.resize(other.orders.size());
  for (size_t i = 0; i < other.orders.size(); ++i) {
    orders[i].hypothesis += other.orders[i].hypothesis;
    orders[i].reference += other.orders[i].reference;
    orders[i].matches += other.orders[i].matches;
  }
  return *this;
}

absl::StatusOr<ChrfStatistics> CountChrf(
    absl::string_view hypothesis, absl::Span<const std::string> references,
    const ChrfOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  if (references.empty()) {
    return absl::InvalidArgumentError("chrF without a reference");
  }
  const Units units(hypothesis, options);
  std::optional<ChrfStatistics> best;
  double best_score = 0;
  for (const std::string& reference : references) {
    const Units other(reference, options);
    ChrfStatistics statistics;
    for (int n = 1; n <= options.char_order; ++n) {
      statistics.orders.push_back(
          CountOrder(units.characters, other.characters, n));
    }
    for (int n = 1; n <= options.word_order; ++n) {
      statistics.orders.push_back(CountOrder(units.words, other.words, n));
    }
    const double score = ChrfScore(statistics, options.beta);
    if (!best.has_value() || score > best_score) {
      best_score = score;
      best = std::move(statistics);
    }
  }
  return *std::move(best);
}

double ChrfScore(const ChrfStatistics& statistics, double beta) {
  double precision = 0;
  double recall = 0;
  int orders = 0;
  for (const ChrfStatistics::Order& order : statistics.orders) {
    if (order.hypothesis == 0 || order.reference == 0) continue;
    const double matches = static_cast<double>(order.matches);
    precision += matches / static_cast<double>(order.hypothesis);
    recall += matches / static_cast<double>(order.reference);
    ++orders;
  }
  if (precision + recall == 0) return 0;
  precision /= orders;
  recall /= orders;
  const double weight = beta * beta;
  return 100 * (1 + weight) * precision * recall /
         (weight * precision + recall);
}

std::string ChrfSignature(const ChrfOptions& options, size_t references) {
  return absl::StrCat("chrF", options.beta, options.word_order > 0 ? "++" : "",
                      "|nrefs:", references,
                      "|case:", options.lowercase ? "lc" : "mixed",
                      "|eff:yes|nc:", options.char_order,
                      "|nw:", options.word_order, "|space:no");
}

}  // namespace quantd
