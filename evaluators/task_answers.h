// From what a model wrote to right or wrong: the answers that a task's filters
// take out of a text, and the rules by which an answer is a reference. Patterns
// are compiled once, not once an item.
//
// Immutable, thread-safe.
#ifndef QUANTD_EVALUATORS_TASK_ANSWERS_H_
#define QUANTD_EVALUATORS_TASK_ANSWERS_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "evaluators/tasks/task_definition.h"
#include "evaluators/text_metrics/answer_extraction.h"

namespace quantd {

class AnswerExtractor {
 public:
  // InvalidArgument names the filter and quotes the pattern.
  static absl::StatusOr<AnswerExtractor> Create(
      absl::Span<const AnswerFilter> filters);

  // One answer a filter, in their order; without filters one, the text without
  // blanks around it.
  std::vector<std::string> Extract(absl::string_view text) const;

 private:
  struct Step {
    AnswerFilterStep definition;
    std::optional<RegexFilter> regex;  // of kRegex
  };
  using Filter = std::vector<Step>;

  explicit AnswerExtractor(std::vector<Filter> filters)
      : filters_(std::move(filters)) {}

  static std::string Apply(const Step& step, std::string answer);

  std::vector<Filter> filters_;
};

// The metric exact_match.
class ExactMatch {
 public:
  // InvalidArgument quotes the pattern of regexes_to_ignore.
  static absl::StatusOr<ExactMatch> Create(const TaskMetric& rules);

  // Whether `answer` is one of the references, both changed by the rules.
  bool Matches(absl::string_view answer,
               absl::Span<const std::string> references) const;

 private:
  explicit ExactMatch(const TaskMetric& rules);

  std::string Normalized(absl::string_view text) const;

  std::vector<std::shared_ptr<const re2::RE2>> ignored_;
  AnswerNormalization normalization_;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASK_ANSWERS_H_
