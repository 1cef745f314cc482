// ROUGE (Lin, "ROUGE: A Package for Automatic Evaluation of Summaries", 2004)
// in the form that summarization papers report: text in lower case, words are
// runs of a-z and 0-9, F weighs precision and recall alike.
//
//   ROUGE-N     n-grams in common over those of hypothesis and reference
//   ROUGE-L     longest common subsequence of words, line ends ignored
//   ROUGE-Lsum  by lines: for each line of the reference the union of its
//               common subsequences with all lines of the hypothesis (section
//               3.2), no word counted more often than either side has it
//
// Of several references each score is the one with the highest F. The score of
// a corpus is the mean over items, so that items bootstrap as they are.
//
// Thread-safe: plain data and free functions of their arguments.
#ifndef QUANTD_EVALUATORS_TEXT_METRICS_ROUGE_H_
#define QUANTD_EVALUATORS_TEXT_METRICS_ROUGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace quantd {

struct RougeOptions {
  // Words of more than three letters by their Porter stem, as the paper's
  // package does it; a later Python package stems some words otherwise, by
  // rules that NLTK added.
  bool stem = false;
};

// Each 0..1; all 0 where either side has nothing to count.
struct RougeScore {
  double precision = 0;
  double recall = 0;
  double f1 = 0;
};

struct RougeScores {
  RougeScore rouge1;
  RougeScore rouge2;
  RougeScore rouge_l;
  RougeScore rouge_lsum;
};

// InvalidArgument without a reference; ResourceExhausted where the words of
// both sides multiply to more than 2^28. Any bytes are accepted.
absl::StatusOr<RougeScores> ScoreRouge(absl::string_view hypothesis,
                                       absl::Span<const std::string> references,
                                       const RougeOptions& options);

// "ROUGE|nrefs:1|case:lc|tok:a-z0-9|stem:no".
std::string RougeSignature(const RougeOptions& options, size_t references);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TEXT_METRICS_ROUGE_H_
