// BLEU (Papineni, Roukos, Ward and Zhu, ACL 2002) as the WMT shared tasks
// report it: mteval-v13a tokenization, n-grams up to 4, exponential smoothing,
// the length of the closest reference (of two as close, the shorter).
//
//   BLEU = 100 * bp * exp(mean over n of ln p_n)
//   p_n = clipped matches / n-grams of the hypotheses, over the whole corpus
//   bp = 1, or exp(1 - reference length / hypothesis length) if that is shorter
//
// The counts of sentences add up: a corpus is the sum of its items, and the
// bootstrap (statistics/bootstrap.h) sums resampled ones.
//
// Thread-safe: plain data and free functions of their arguments.
#ifndef QUANTD_EVALUATORS_TEXT_METRICS_BLEU_H_
#define QUANTD_EVALUATORS_TEXT_METRICS_BLEU_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace quantd {

inline constexpr size_t kBleuOrder = 4;

enum class BleuTokenization {
  // Of the NIST program mteval-v13a: entities decoded, ASCII punctuation apart
  // from words, "." and "," only where no digit is on the other side, "-" after
  // a digit.
  k13a,
  // By white space: the text comes in words already.
  kNone,
};

enum class BleuSmoothing {
  // The i-th order without a match counts as 1 / 2^i matches (Chen and Cherry,
  // WMT 2014, method 3, as in mteval-v13a).
  kExponential,
  // One order without a match makes BLEU 0.
  kNone,
};

struct BleuOptions {
  BleuTokenization tokenization = BleuTokenization::k13a;
  BleuSmoothing smoothing = BleuSmoothing::kExponential;
  bool lowercase = false;
};

struct BleuStatistics {
  uint64_t hypothesis_length = 0;
  uint64_t reference_length = 0;
  // [n - 1]: n-grams of the hypotheses, and those of them that a reference
  // has, at most as often as the reference that has it most often.
  std::array<uint64_t, kBleuOrder> ngrams{};
  std::array<uint64_t, kBleuOrder> matches{};

  BleuStatistics& operator+=(const BleuStatistics& other);
};

struct BleuScore {
  // 0..100.
  double score = 0;
  // [n - 1], smoothed, 0..100.
  std::array<double, kBleuOrder> precisions{};
  double brevity_penalty = 0;
};

// Of one item. InvalidArgument without a reference. Any bytes are accepted.
absl::StatusOr<BleuStatistics> CountBleu(
    absl::string_view hypothesis, absl::Span<const std::string> references,
    const BleuOptions& options);

// Of summed counts. 0 without any match or hypothesis. An order that no
// hypothesis is long enough for makes the score 0.
BleuScore CorpusBleu(const BleuStatistics& statistics, BleuSmoothing smoothing);

// Of one sentence: only the orders that it is long enough for are averaged.
BleuScore SentenceBleu(const BleuStatistics& statistics,
                       BleuSmoothing smoothing);

// What a number stands for, to be printed beside it: numbers of different
// signatures are not comparable. "BLEU|nrefs:1|case:mixed|eff:no|tok:13a|
// smooth:exp"; "eff:yes" for sentences.
std::string BleuSignature(const BleuOptions& options, size_t references,
                          bool of_sentences);

// The text with one blank between tokens.
std::string Tokenize13a(absl::string_view text);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TEXT_METRICS_BLEU_H_
