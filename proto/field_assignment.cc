// SetField() and ApplyAssignment() of proto/field_rules.h: a path names the
// fields it is a suffix of.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "google/protobuf/descriptor.h"
#include "proto/field_rules.h"
#include "proto/field_values.h"

namespace quantd {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;
using ::google::protobuf::Reflection;

// Not an element of a repeated field.
constexpr int kSingular = -1;

struct Step {
  const FieldDescriptor* field;
  int index;

  std::string Text() const {
    return index == kSingular ? field->name()
                              : absl::StrCat(field->name(), "[", index, "]");
  }
};

// One assignable field of one message instance, by the way that leads to it.
// Messages on the way may still be absent.
struct Candidate {
  std::vector<Step> steps;

  const FieldDescriptor& field() const { return *steps.back().field; }

  std::string Path() const {
    return absl::StrJoin(steps, ".", [](std::string* out, const Step& step) {
      absl::StrAppend(out, step.Text());
    });
  }

  // The last `count` names, without indices.
  std::string Suffix(size_t count) const {
    std::vector<std::string> names;
    for (size_t i = steps.size() - count; i < steps.size(); ++i) {
      names.push_back(steps[i].field->name());
    }
    return absl::StrJoin(names, ".");
  }

  // The repeated element this field lives in: everything up to the last
  // indexed step.
  std::string Element() const {
    std::string element, pending;
    for (const Step& step : steps) {
      absl::StrAppend(&pending, ".", step.Text());
      if (step.index != kSingular) {
        absl::StrAppend(&element, pending);
        pending.clear();
      }
    }
    return element;
  }
};

// Collects the candidates below `type`; `message` is null when it is absent.
// Absent members of a oneof are skipped, because naming an option of a stage
// must not replace the stage; but where nothing is chosen, the default kind is.
void Enumerate(const Descriptor* type, const Message* message,
               std::vector<Step>& steps,
               std::vector<const Descriptor*>& ancestors,
               std::vector<Candidate>& out) {
  ancestors.push_back(type);
  const Reflection* reflection =
      message == nullptr ? nullptr : message->GetReflection();
  for (int i = 0; i < type->field_count(); ++i) {
    const FieldDescriptor* field = type->field(i);
    if (RulesOf(*field).output_only() || field->is_map()) continue;
    if (!IsMessageField(*field)) {
      steps.push_back({field, kSingular});
      out.push_back({steps});
      steps.pop_back();
      continue;
    }
    if (field->is_repeated()) {
      const int count =
          message == nullptr ? 0 : reflection->FieldSize(*message, field);
      for (int k = 0; k < count; ++k) {
        steps.push_back({field, k});
        Enumerate(field->message_type(),
                  &reflection->GetRepeatedMessage(*message, field, k), steps,
                  ancestors, out);
        steps.pop_back();
      }
      continue;
    }
    const bool present =
        message != nullptr && reflection->HasField(*message, field);
    const bool recursive = std::find(ancestors.begin(), ancestors.end(),
                                     field->message_type()) != ancestors.end();
    const auto* oneof = field->containing_oneof();
    const bool of_other_kind =
        oneof != nullptr &&
        (!RulesOf(*field).default_kind() ||
         (message != nullptr && reflection->HasOneof(*message, oneof)));
    if (!present && (of_other_kind || recursive)) continue;
    steps.push_back({field, kSingular});
    Enumerate(field->message_type(),
              present ? &reflection->GetMessage(*message, field) : nullptr,
              steps, ancestors, out);
    steps.pop_back();
  }
  ancestors.pop_back();
}

// "stages[0]" matches that element, "stages" every element.
bool Matches(absl::string_view segment, const Step& step) {
  return segment == step.field->name() ||
         (step.index != kSingular && segment == step.Text());
}

bool EndsWith(const Candidate& candidate,
              const std::vector<std::string>& segments) {
  if (segments.size() > candidate.steps.size()) return false;
  const size_t skipped = candidate.steps.size() - segments.size();
  for (size_t i = 0; i < segments.size(); ++i) {
    if (!Matches(segments[i], candidate.steps[skipped + i])) return false;
  }
  return true;
}

// One match, or the same field in several elements, once in each.
bool Unambiguous(const std::vector<const Candidate*>& matches) {
  if (matches.size() == 1) return true;
  std::set<std::string> elements;
  for (const Candidate* match : matches) {
    if (&match->field() != &matches[0]->field()) return false;
    const std::string element = match->Element();
    if (element.empty() || !elements.insert(element).second) return false;
  }
  return true;
}

std::vector<const Candidate*> Resolve(
    const std::vector<Candidate>& candidates,
    const std::vector<std::string>& segments) {
  std::vector<const Candidate*> full, suffix;
  for (const Candidate& candidate : candidates) {
    if (!EndsWith(candidate, segments)) continue;
    suffix.push_back(&candidate);
    if (segments.size() == candidate.steps.size()) full.push_back(&candidate);
  }
  return full.empty() ? suffix : full;
}

// The shortest name under which `candidate` can be set.
std::string ShortName(const std::vector<Candidate>& candidates,
                      const Candidate& candidate) {
  for (size_t count = 1; count <= candidate.steps.size(); ++count) {
    const std::string name = candidate.Suffix(count);
    const auto matches = Resolve(candidates, absl::StrSplit(name, '.'));
    if (Unambiguous(matches) && std::find(matches.begin(), matches.end(),
                                          &candidate) != matches.end()) {
      return name;
    }
  }
  return candidate.Path();
}

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

// Valid names a person who typed `path` may have meant, best first.
std::vector<std::string> Closest(absl::string_view path,
                                 const std::vector<std::string>& names) {
  // Beyond this length nothing is a typing error of a field name, and the
  // distance would cost time that grows with the input.
  constexpr size_t kLongestPath = 128;
  constexpr size_t kSuggestions = 3;
  if (path.empty() || path.size() > kLongestPath) return {};
  const std::string wanted = absl::AsciiStrToLower(path);
  std::vector<std::pair<size_t, std::string>> ranked;
  for (const std::string& name : names) {
    size_t distance = EditDistance(wanted, name);
    // "group" for "group_size": a word of the name, whole.
    const std::vector<std::string> words =
        absl::StrSplit(name, absl::ByAnyChar("._"));
    if (std::find(words.begin(), words.end(), wanted) != words.end()) {
      distance = 1;
    }
    if (distance <= std::max<size_t>(2, wanted.size() / 3)) {
      ranked.emplace_back(distance, name);
    }
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> closest;
  for (const auto& [distance, name] : ranked) {
    if (closest.size() < kSuggestions) closest.push_back(name);
  }
  return closest;
}

absl::Status UnknownPath(absl::string_view path,
                         const std::vector<Candidate>& candidates) {
  std::vector<std::string> names;
  for (const Candidate& candidate : candidates) {
    std::string name = ShortName(candidates, candidate);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(std::move(name));
    }
  }
  std::string description = "no such option";
  if (const auto closest = Closest(path, names); !closest.empty()) {
    absl::StrAppend(&description, "; did you mean ",
                    absl::StrJoin(closest, " or "), "?");
  }
  absl::StrAppend(&description, "; ",
                  names.empty() ? "there are none to set" : "valid: ",
                  absl::StrJoin(names, ", "));
  return InvalidField(path, description);
}

absl::Status AmbiguousPath(absl::string_view path,
                           const std::vector<const Candidate*>& matches) {
  std::vector<std::string> paths;
  for (const Candidate* match : matches) paths.push_back(match->Path());
  return InvalidField(path, absl::StrCat("is ambiguous; candidates: ",
                                         absl::StrJoin(paths, ", ")));
}

Message* MutableParent(Message* message, const Candidate& candidate) {
  for (size_t i = 0; i + 1 < candidate.steps.size(); ++i) {
    const Step& step = candidate.steps[i];
    const Reflection* reflection = message->GetReflection();
    message = step.index == kSingular
                  ? reflection->MutableMessage(message, step.field)
                  : reflection->MutableRepeatedMessage(message, step.field,
                                                       step.index);
  }
  return message;
}

// The values `text` stands for: one, or the elements of a list.
absl::StatusOr<std::vector<FieldValue>> ParseValues(
    const FieldDescriptor& field, const std::string& path,
    absl::string_view text) {
  std::vector<std::string> pieces = {std::string(text)};
  if (field.is_repeated()) {
    pieces = absl::StrSplit(text, ',', absl::SkipWhitespace());
    if (std::string fault =
            CheckElementCount(field, static_cast<int>(pieces.size()));
        !fault.empty()) {
      return InvalidField(path, fault);
    }
  }
  if (RulesOf(field).required() &&
      (pieces.empty() || absl::StripAsciiWhitespace(pieces[0]).empty())) {
    return InvalidField(path, "must not be empty");
  }
  std::vector<FieldValue> values;
  for (const std::string& piece : pieces) {
    absl::StatusOr<FieldValue> value = ParseFieldValue(field, piece);
    if (!value.ok()) return InvalidField(path, value.status().message());
    if (std::string fault = CheckFieldValue(field, *value); !fault.empty()) {
      return InvalidField(path, fault);
    }
    values.push_back(*std::move(value));
  }
  return values;
}

}  // namespace

absl::Status SetField(Message* message, absl::string_view path,
                      absl::string_view value) {
  std::vector<Candidate> candidates;
  std::vector<Step> steps;
  std::vector<const Descriptor*> ancestors;
  Enumerate(message->GetDescriptor(), message, steps, ancestors, candidates);
  const std::vector<std::string> segments = absl::StrSplit(path, '.');
  const auto matches = Resolve(candidates, segments);
  if (matches.empty()) return UnknownPath(path, candidates);
  if (!Unambiguous(matches)) return AmbiguousPath(path, matches);
  // Everything is checked before anything is written.
  const FieldDescriptor& field = matches[0]->field();
  ASSIGN_OR_RETURN(const std::vector<FieldValue> values,
                   ParseValues(field, matches[0]->Path(), value));
  for (const Candidate* match : matches) {
    Message* parent = MutableParent(message, *match);
    if (!field.is_repeated()) {
      SetFieldValue(parent, field, values[0]);
      continue;
    }
    parent->GetReflection()->ClearField(parent, &field);
    for (const FieldValue& element : values) {
      AddFieldValue(parent, field, element);
    }
  }
  return absl::OkStatus();
}

absl::Status ApplyAssignment(Message* message, absl::string_view assignment) {
  const size_t equals = assignment.find('=');
  if (equals == absl::string_view::npos) {
    return InvalidField(assignment, "must have the form key=value");
  }
  return SetField(message,
                  absl::StripAsciiWhitespace(assignment.substr(0, equals)),
                  assignment.substr(equals + 1));
}

}  // namespace quantd
