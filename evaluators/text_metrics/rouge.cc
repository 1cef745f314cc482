#include "evaluators/text_metrics/rouge.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "evaluators/text_metrics/porter_stemmer.h"
#include "evaluators/text_metrics/units.h"

namespace quantd {
namespace {

// One byte for each pair of words is the way back through a common
// subsequence.
constexpr uint64_t kMostPairs = uint64_t{1} << 28;

// Shorter words lose more by stemming than they gain; so the package of the
// paper does it.
constexpr size_t kLongestUnstemmed = 3;

std::vector<std::string> Words(absl::string_view text, bool stem) {
  const std::string lower = Lowercase(ReplaceInvalidUtf8(text));
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (word.empty()) return;
    if (stem && word.size() > kLongestUnstemmed) {
      word = PorterStem(std::move(word));
    }
    words.push_back(std::move(word));
    word.clear();
  };
  for (char c : lower) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      word.push_back(c);
    } else {
      finish();
    }
  }
  finish();
  return words;
}

// Numbers for words, equal ones for equal words, over all texts of an item.
class Numbering {
 public:
  std::vector<uint32_t> Of(const std::vector<std::string>& words) {
    std::vector<uint32_t> numbers;
    numbers.reserve(words.size());
    for (const std::string& word : words) {
      numbers.push_back(
          numbers_.try_emplace(word, static_cast<uint32_t>(numbers_.size()))
              .first->second);
    }
    return numbers;
  }

 private:
  absl::flat_hash_map<std::string, uint32_t> numbers_;
};

// A text as the metrics look at it.
struct Summary {
  UnitSequence words;
  std::vector<uint32_t> numbers;
  std::vector<std::vector<uint32_t>> lines;
};

Summary Read(absl::string_view text, bool stem, Numbering& numbering) {
  Summary summary;
  const std::vector<std::string> words = Words(text, stem);
  summary.words = UnitSequence::OfWords({words.begin(), words.end()});
  summary.numbers = numbering.Of(words);
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    std::vector<uint32_t> numbers = numbering.Of(Words(line, stem));
    if (!numbers.empty()) summary.lines.push_back(std::move(numbers));
  }
  return summary;
}

RougeScore ScoreOf(uint64_t matches, size_t hypothesis, size_t reference) {
  RougeScore score;
  if (matches == 0) return score;
  score.precision =
      static_cast<double>(matches) / static_cast<double>(hypothesis);
  score.recall = static_cast<double>(matches) / static_cast<double>(reference);
  score.f1 =
      2 * score.precision * score.recall / (score.precision + score.recall);
  return score;
}

RougeScore ScoreNgrams(const Summary& hypothesis, const Summary& reference,
                       size_t n) {
  return ScoreOf(CountMatches(CountNgrams(hypothesis.words, n),
                              CountNgrams(reference.words, n)),
                 hypothesis.words.NgramCount(n), reference.words.NgramCount(n));
}

// Marks the words of `reference` that are in a longest common subsequence with
// `hypothesis`; returns its length. Of equally long ones, that which leaves out
// words of the reference first, seen from the end.
size_t MarkCommonSubsequence(const std::vector<uint32_t>& reference,
                             const std::vector<uint32_t>& hypothesis,
                             std::vector<bool>* marks) {
  enum Step : uint8_t { kBoth, kReference, kHypothesis };
  const size_t columns = hypothesis.size();
  std::vector<uint8_t> steps(reference.size() * columns);
  std::vector<uint32_t> above(columns + 1);
  std::vector<uint32_t> row(columns + 1);
  for (size_t i = 0; i < reference.size(); ++i) {
    for (size_t j = 0; j < columns; ++j) {
      uint8_t& step = steps[i * columns + j];
      if (reference[i] == hypothesis[j]) {
        step = kBoth;
        row[j + 1] = above[j] + 1;
      } else if (row[j] > above[j + 1]) {
        step = kHypothesis;
        row[j + 1] = row[j];
      } else {
        step = kReference;
        row[j + 1] = above[j + 1];
      }
    }
    std::swap(above, row);
  }
  size_t i = reference.size();
  size_t j = columns;
  size_t length = 0;
  while (i > 0 && j > 0) {
    const uint8_t step = steps[(i - 1) * columns + j - 1];
    if (step == kBoth) {
      (*marks)[i - 1] = true;
      ++length;
    }
    i -= step != kHypothesis;
    j -= step != kReference;
  }
  return length;
}

RougeScore ScoreSubsequence(const Summary& hypothesis,
                            const Summary& reference) {
  std::vector<bool> marks(reference.numbers.size());
  return ScoreOf(
      MarkCommonSubsequence(reference.numbers, hypothesis.numbers, &marks),
      hypothesis.numbers.size(), reference.numbers.size());
}

RougeScore ScoreLines(const Summary& hypothesis, const Summary& reference) {
  absl::flat_hash_map<uint32_t, size_t> left_in_hypothesis;
  absl::flat_hash_map<uint32_t, size_t> left_in_reference;
  for (uint32_t word : hypothesis.numbers) ++left_in_hypothesis[word];
  for (uint32_t word : reference.numbers) ++left_in_reference[word];
  uint64_t matches = 0;
  for (const std::vector<uint32_t>& line : reference.lines) {
    std::vector<bool> marks(line.size());
    for (const std::vector<uint32_t>& other : hypothesis.lines) {
      MarkCommonSubsequence(line, other, &marks);
    }
    for (size_t i = 0; i < line.size(); ++i) {
      if (!marks[i]) continue;
      size_t& in_hypothesis = left_in_hypothesis[line[i]];
      size_t& in_reference = left_in_reference[line[i]];
      if (in_hypothesis == 0 || in_reference == 0) continue;
      --in_hypothesis;
      --in_reference;
      ++matches;
    }
  }
  return ScoreOf(matches, hypothesis.numbers.size(), reference.numbers.size());
}

void KeepBest(const RougeScore& score, RougeScore* best) {
  if (score.f1 > best->f1) *best = score;
}

}  // namespace

absl::StatusOr<RougeScores> ScoreRouge(absl::string_view hypothesis,
                                       absl::Span<const std::string> references,
                                       const RougeOptions& options) {
  if (references.empty()) {
    return absl::InvalidArgumentError("ROUGE without a reference");
  }
  Numbering numbering;
  const Summary summary = Read(hypothesis, options.stem, numbering);
  RougeScores best;
  for (const std::string& text : references) {
    const Summary reference = Read(text, options.stem, numbering);
    const uint64_t pairs =
        uint64_t{summary.numbers.size()} * uint64_t{reference.numbers.size()};
    if (pairs > kMostPairs) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "ROUGE-L of ", summary.numbers.size(), " words against ",
          reference.numbers.size(), ": more than ", kMostPairs, " pairs"));
    }
    KeepBest(ScoreNgrams(summary, reference, 1), &best.rouge1);
    KeepBest(ScoreNgrams(summary, reference, 2), &best.rouge2);
    KeepBest(ScoreSubsequence(summary, reference), &best.rouge_l);
    KeepBest(ScoreLines(summary, reference), &best.rouge_lsum);
  }
  return best;
}

std::string RougeSignature(const RougeOptions& options, size_t references) {
  return absl::StrCat("ROUGE|nrefs:", references, "|case:lc|tok:a-z0-9|stem:",
                      options.stem ? "porter" : "no");
}

}  // namespace quantd
