// From a generated text to an answer, and from an answer to right or wrong.
//
// Texts are any bytes. Thread-safe: plain data, free functions of their
// arguments; a RegexFilter may be used from any thread.
#ifndef QUANTD_EVALUATORS_TEXT_METRICS_ANSWER_EXTRACTION_H_
#define QUANTD_EVALUATORS_TEXT_METRICS_ANSWER_EXTRACTION_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace re2 {
class RE2;
}  // namespace re2

namespace quantd {

// Both sides of a comparison are changed in the order of the members.
struct AnswerNormalization {
  // "A", "É" to "a", "é".
  bool lowercase = false;
  // ASCII punctuation is taken out.
  bool drop_punctuation = false;
  // The words a, an and the, in any case (SQuAD's evaluation script).
  bool drop_articles = false;
  // ASCII digits are taken out.
  bool drop_digits = false;
  // Runs of white space become one blank, none at the ends.
  bool collapse_white_space = false;

  // That of SQuAD's (Rajpurkar et al., EMNLP 2016) exact match.
  static AnswerNormalization Squad() {
    return {.lowercase = true,
            .drop_punctuation = true,
            .drop_articles = true,
            .collapse_white_space = true};
  }
};

std::string NormalizeAnswer(absl::string_view answer,
                            const AnswerNormalization& normalization);

// Whether `answer` equals any of `references`, both normalized.
bool IsExactMatch(absl::string_view answer,
                  absl::Span<const std::string> references,
                  const AnswerNormalization& normalization);

// The number of GSM8K's (Cobbe et al., arXiv:2110.14168) answer line, as it
// stands there: what follows the first "#### " and is of digits, points, commas
// and a minus before them.
std::optional<std::string> ExtractStrictNumber(absl::string_view text);

// The last number of a text, as it stands there: a minus or none, then two or
// more of digits, "$", "." and ",", or else digits alone.
std::optional<std::string> ExtractFlexibleNumber(absl::string_view text);

// Takes out every "," and "$" and a final ".", which is how GSM8K's numbers are
// compared: as strings, so that 18.00 is not 18.
std::string NormalizeNumber(absl::string_view number);

// Which of a pattern's matches is the answer.
enum class MatchChoice { kFirst, kLast };

// A pattern in RE2's syntax (Perl's without look-around and back references;
// \d, \w and \s are ASCII). Takes time linear in the text.
class RegexFilter {
 public:
  // InvalidArgument that quotes the pattern and RE2's reason.
  static absl::StatusOr<RegexFilter> Create(absl::string_view pattern,
                                            MatchChoice choice);

  // The chosen match, without white space around it: its first group that is
  // not empty, or all of it where the pattern has no group. Nothing if there
  // is no match, or all its groups are empty. Matches do not overlap.
  std::optional<std::string> Apply(absl::string_view text) const;

 private:
  RegexFilter(std::shared_ptr<const re2::RE2> pattern, MatchChoice choice)
      : pattern_(std::move(pattern)), choice_(choice) {}

  std::shared_ptr<const re2::RE2> pattern_;
  MatchChoice choice_;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TEXT_METRICS_ANSWER_EXTRACTION_H_
