#include "evaluators/task_answers.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "re2/re2.h"

namespace quantd {

absl::StatusOr<AnswerExtractor> AnswerExtractor::Create(
    absl::Span<const AnswerFilter> filters) {
  std::vector<Filter> compiled;
  for (const AnswerFilter& filter : filters) {
    Filter& steps = compiled.emplace_back();
    for (const AnswerFilterStep& definition : filter.steps) {
      Step step = {definition, std::nullopt};
      if (definition.function == AnswerFilterStep::Function::kRegex) {
        ASSIGN_OR_RETURN(step.regex,
                         Annotate(RegexFilter::Create(definition.regex_pattern,
                                                      definition.group_select),
                                  "filter ", filter.name));
      }
      steps.push_back(std::move(step));
    }
  }
  return AnswerExtractor(std::move(compiled));
}

std::string AnswerExtractor::Apply(const Step& step, std::string answer) {
  switch (step.definition.function) {
    case AnswerFilterStep::Function::kTakeFirst:
      return answer;
    case AnswerFilterStep::Function::kRemoveWhitespace:
      return std::string(absl::StripPrefix(answer, " "));
    case AnswerFilterStep::Function::kLowercase:
      return NormalizeAnswer(answer, {.lowercase = true});
    case AnswerFilterStep::Function::kUppercase:
      return absl::AsciiStrToUpper(answer);
    case AnswerFilterStep::Function::kRegex:
      break;
  }
  return step.regex->Apply(answer).value_or(step.definition.fallback);
}

std::vector<std::string> AnswerExtractor::Extract(
    absl::string_view text) const {
  if (filters_.empty()) {
    return {std::string(absl::StripAsciiWhitespace(text))};
  }
  std::vector<std::string> answers;
  for (const Filter& filter : filters_) {
    std::string answer(text);
    for (const Step& step : filter) answer = Apply(step, std::move(answer));
    answers.push_back(std::move(answer));
  }
  return answers;
}

ExactMatch::ExactMatch(const TaskMetric& rules)
    : normalization_({.lowercase = rules.ignore_case,
                      .drop_punctuation = rules.ignore_punctuation,
                      .drop_digits = rules.ignore_numbers}) {}

absl::StatusOr<ExactMatch> ExactMatch::Create(const TaskMetric& rules) {
  ExactMatch match(rules);
  for (const std::string& pattern : rules.regexes_to_ignore) {
    ASSIGN_OR_RETURN(std::shared_ptr<const re2::RE2> compiled,
                     CompilePattern(pattern));
    match.ignored_.push_back(std::move(compiled));
  }
  return match;
}

std::string ExactMatch::Normalized(absl::string_view text) const {
  std::string kept(text);
  for (const auto& pattern : ignored_) {
    re2::RE2::GlobalReplace(&kept, *pattern, "");
  }
  return NormalizeAnswer(kept, normalization_);
}

bool ExactMatch::Matches(absl::string_view answer,
                         absl::Span<const std::string> references) const {
  const std::string own = Normalized(answer);
  return std::any_of(references.begin(), references.end(),
                     [&](const std::string& reference) {
                       return Normalized(reference) == own;
                     });
}

}  // namespace quantd
