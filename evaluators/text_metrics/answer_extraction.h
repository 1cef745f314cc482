// From a generated text to an answer, and what of an answer counts when it is
// compared.
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

// A pattern in RE2's syntax (Perl's without look-around and back references;
// \d, \w and \s are ASCII), compiled once: matching takes time linear in the
// text. Any thread may use it. InvalidArgument quotes the pattern and RE2's
// reason.
absl::StatusOr<std::shared_ptr<const re2::RE2>> CompilePattern(
    absl::string_view pattern);

// The answer that a pattern finds, by the rules of lm-evaluation-harness's
// regex filter.
class RegexFilter {
 public:
  // `match` is the number of the match that is the answer: from 0, or from -1
  // backwards. Fails as CompilePattern() does.
  static absl::StatusOr<RegexFilter> Create(absl::string_view pattern,
                                            int match);

  // The chosen match, without white space around it: its group, or the first
  // that is not empty where the pattern has several, or all of it where it has
  // none. Nothing if there are not as many matches, or all of several groups
  // are empty. Matches do not overlap, and may be empty. Always UTF-8.
  std::optional<std::string> Apply(absl::string_view text) const;

 private:
  RegexFilter(std::shared_ptr<const re2::RE2> pattern, int match)
      : pattern_(std::move(pattern)), match_(match) {}

  std::shared_ptr<const re2::RE2> pattern_;
  int match_;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TEXT_METRICS_ANSWER_EXTRACTION_H_
