#include "evaluators/tasks/record_prompt.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/tasks/template_value.h"
#include "models/json_text.h"

namespace quantd {
namespace {

using nlohmann::json;

constexpr size_t kMaxChoices = 1000;

absl::StatusOr<std::vector<std::string>> Texts(const json& list) {
  std::vector<std::string> texts;
  for (const json& item : list) {
    ASSIGN_OR_RETURN(std::string text, TemplateText(item));
    texts.push_back(std::move(text));
  }
  return texts;
}

// A text, or a list of them.
absl::StatusOr<std::vector<std::string>> OneOrMore(const json& value) {
  if (value.is_array()) return Texts(value);
  ASSIGN_OR_RETURN(std::string text, TemplateText(value));
  return std::vector<std::string>{std::move(text)};
}

absl::StatusOr<std::vector<std::string>> Choices(const TaskDefinition& task,
                                                 const json& record,
                                                 size_t contexts) {
  std::vector<std::string> choices;
  if (!task.choices_are_a_list) {
    for (const TaskTemplate& choice : task.doc_to_choice) {
      ASSIGN_OR_RETURN(std::string text, choice.Text(record));
      choices.push_back(std::move(text));
    }
  } else {
    ASSIGN_OR_RETURN(const json value, task.doc_to_choice[0].Value(record));
    if (value.is_array()) {
      ASSIGN_OR_RETURN(choices, Texts(value));
    } else if (value.is_string() && contexts > 1) {
      // The same ending after every context (partial scoring: Trinh, Le 2018).
      choices.assign(contexts, value.get<std::string>());
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "expected a list, got ", DescribeJson(value),
          value.is_string() ? "; write {{ [a, b] }} or a YAML list" : ""));
    }
  }
  if (choices.size() < 2 || choices.size() > kMaxChoices) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected 2 to ", kMaxChoices, " choices, got ", choices.size()));
  }
  if (contexts > 1 && contexts != choices.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(choices.size(), " choices, but doc_to_text gives ",
                     contexts, " contexts"));
  }
  for (size_t i = 0; i < choices.size(); ++i) {
    if (choices[i].empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("choice ", i, " is empty"));
    }
  }
  return choices;
}

// Digits that a template printed.
bool IsPrintedIndex(const json& value, bool is_field) {
  if (!value.is_string() || is_field) return false;
  const std::string& text = value.get_ref<const std::string&>();
  return !text.empty() &&
         std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return absl::ascii_isdigit(c); });
}

// REQUIRES: IsPrintedIndex(). -1 when there are too many digits.
int64_t PrintedIndex(const json& value) {
  int64_t index = -1;
  return absl::SimpleAtoi(value.get_ref<const std::string&>(), &index) ? index
                                                                       : -1;
}

// The index that one value of doc_to_target means. As in
// lm-evaluation-harness, a number is an index, and so are digits that a
// template printed; the text of a field, and any other text, is a choice's.
absl::StatusOr<int> GoldIndex(const json& value, bool is_field,
                              const std::vector<std::string>& choices) {
  int64_t index = -1;
  if (IsPrintedIndex(value, is_field)) {
    index = PrintedIndex(value);
  } else if (value.is_number()) {
    ASSIGN_OR_RETURN(index, TemplateInteger(value));
  } else {
    ASSIGN_OR_RETURN(const std::string text, TemplateText(value));
    const auto choice = std::find(choices.begin(), choices.end(), text);
    if (choice == choices.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(Quoted(text), " is none of the choices"));
    }
    return static_cast<int>(choice - choices.begin());
  }
  if (index < 0 || index >= static_cast<int64_t>(choices.size())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "index ", DescribeJson(value), " of ", choices.size(), " choices"));
  }
  return static_cast<int>(index);
}

absl::StatusOr<std::vector<int>> GoldChoices(
    const json& target, bool is_field,
    const std::vector<std::string>& choices) {
  std::vector<int> gold;
  if (!target.is_array()) {
    ASSIGN_OR_RETURN(const int index, GoldIndex(target, is_field, choices));
    gold.push_back(index);
    return gold;
  }
  for (const json& value : target) {
    ASSIGN_OR_RETURN(const int index, GoldIndex(value, is_field, choices));
    gold.push_back(index);
  }
  std::sort(gold.begin(), gold.end());
  gold.erase(std::unique(gold.begin(), gold.end()), gold.end());
  if (gold.empty()) return absl::InvalidArgumentError("no right choice");
  return gold;
}

// kMultipleTrue: 0 or 1 for each choice.
absl::StatusOr<std::vector<int>> TrueChoices(const json& target,
                                             size_t choices) {
  if (!target.is_array() || target.size() != choices) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected 0 or 1 for each of ", choices, " choices, got ",
                     DescribeJson(target)));
  }
  std::vector<int> gold;
  for (size_t i = 0; i < choices; ++i) {
    ASSIGN_OR_RETURN(const int64_t flag, TemplateInteger(target[i]));
    if (flag != 0 && flag != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected 0 or 1, got ", flag));
    }
    if (flag == 1) gold.push_back(static_cast<int>(i));
  }
  if (gold.empty()) return absl::InvalidArgumentError("no true choice");
  return gold;
}

// Whether doc_to_text is the index of a context. As in lm-evaluation-harness,
// whose truth values are numbers.
bool IsContextIndex(const json& text, bool is_field) {
  return text.is_number_integer() || (text.is_boolean() && is_field) ||
         IsPrintedIndex(text, is_field);
}

absl::Status ReadChosenContext(const TaskDefinition& task, const json& text,
                               const json& record, RecordPrompt& prompt) {
  prompt.chooses_context = true;
  ASSIGN_OR_RETURN(prompt.contexts,
                   Annotate(Choices(task, record, 1), "doc_to_choice"));
  int64_t index = -1;
  if (text.is_string()) {
    index = PrintedIndex(text);
  } else {
    ASSIGN_OR_RETURN(index, Annotate(TemplateInteger(text), "doc_to_text"));
  }
  if (index < 0 || index >= static_cast<int64_t>(prompt.contexts.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("doc_to_text: ", DescribeJson(text),
                     " is the index of a context, of which doc_to_choice has ",
                     prompt.contexts.size()));
  }
  ASSIGN_OR_RETURN(const json target,
                   Annotate(task.doc_to_target.Value(record), "doc_to_target"));
  if (!target.is_string() || target.get_ref<const std::string&>().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("doc_to_target: expected the text behind every context, "
                     "because doc_to_text is the index of one, got ",
                     DescribeJson(target)));
  }
  prompt.answers.assign(prompt.contexts.size(), target.get<std::string>());
  prompt.gold.push_back(static_cast<int>(index));
  return absl::OkStatus();
}

absl::Status ReadAnswers(const TaskDefinition& task, const json& record,
                         RecordPrompt& prompt) {
  const TaskTemplate& target = task.doc_to_target;
  constexpr absl::string_view kTarget = "doc_to_target";
  switch (task.kind) {
    case TaskKind::kMultipleChoice:
    case TaskKind::kMultipleTrue: {
      ASSIGN_OR_RETURN(prompt.answers,
                       Annotate(Choices(task, record, prompt.contexts.size()),
                                "doc_to_choice"));
      ASSIGN_OR_RETURN(const json value,
                       Annotate(target.Value(record), kTarget));
      ASSIGN_OR_RETURN(
          prompt.gold,
          Annotate(task.kind == TaskKind::kMultipleTrue
                       ? TrueChoices(value, prompt.answers.size())
                       : GoldChoices(value, target.NamesField(record),
                                     prompt.answers),
                   kTarget));
      return absl::OkStatus();
    }
    case TaskKind::kGreedyMatch: {
      ASSIGN_OR_RETURN(std::string text,
                       Annotate(target.Text(record), kTarget));
      if (text.empty()) {
        return absl::InvalidArgumentError("doc_to_target: an empty text");
      }
      prompt.answers.push_back(std::move(text));
      prompt.gold.push_back(0);
      return absl::OkStatus();
    }
    case TaskKind::kGenerate: {
      ASSIGN_OR_RETURN(const json value,
                       Annotate(target.Value(record), kTarget));
      ASSIGN_OR_RETURN(prompt.answers, Annotate(OneOrMore(value), kTarget));
      if (prompt.answers.empty()) {
        return absl::InvalidArgumentError("doc_to_target: an empty list");
      }
      for (size_t i = 0; i < prompt.answers.size(); ++i) {
        prompt.gold.push_back(static_cast<int>(i));
      }
      return absl::OkStatus();
    }
  }
  return absl::InternalError("unknown kind of task");
}

}  // namespace

std::string AnswerDelimiter(const TaskDefinition& task) {
  return task.kind == TaskKind::kGreedyMatch ? "" : task.target_delimiter;
}

std::string RecordPrompt::Example(const TaskDefinition& task) const {
  const size_t right = static_cast<size_t>(gold.front());
  return absl::StrCat(ContextOf(right), AnswerDelimiter(task), answers[right]);
}

absl::StatusOr<RecordPrompt> MakeRecordPrompt(const TaskDefinition& task,
                                              const json& record) {
  RecordPrompt prompt;
  ASSIGN_OR_RETURN(const json text,
                   Annotate(task.doc_to_text.Value(record), "doc_to_text"));
  if (task.kind == TaskKind::kMultipleChoice &&
      IsContextIndex(text, task.doc_to_text.NamesField(record))) {
    RETURN_IF_ERROR(ReadChosenContext(task, text, record, prompt));
    return prompt;
  }
  if (text.is_array() && task.doc_to_choice.empty()) {
    return absl::InvalidArgumentError(
        "doc_to_text: a list of contexts needs doc_to_choice");
  }
  ASSIGN_OR_RETURN(prompt.contexts, Annotate(OneOrMore(text), "doc_to_text"));
  if (text.is_array() && prompt.contexts.size() < 2) {
    return absl::InvalidArgumentError(
        "doc_to_text: a list of fewer than two contexts");
  }
  RETURN_IF_ERROR(ReadAnswers(task, record, prompt));
  return prompt;
}

}  // namespace quantd
