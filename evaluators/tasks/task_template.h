// The templates of task files: the part of Jinja that benchmark prompts need,
// evaluated over one record, with bounds on everything.
//
//   ASSIGN_OR_RETURN(TaskTemplate text, TaskTemplate::Compile(
//       "Question: {{goal}}\nAnswer:"));
//   ASSIGN_OR_RETURN(std::string prompt, text.Text(record));
//
// Language
//   {{ expression }}            printed
//   {% if e %} {% elif e %} {% else %} {% endif %}
//   {% for x in list %} {% endfor %}    with loop.index, loop.index0,
//                               loop.first, loop.last, loop.length;
//                               {% for a, b in pairs %} takes items apart
//   {% set x = e %}             until the end of the enclosing for
//   {# comment #}               dropped; a dash ({{-, -}}) drops white space
//
//   names       fields of the record; `record` is the record itself, for
//               fields whose names are no words: record["Best Answer"]
//   literals    "text", 'text' (escapes of Python), 1, 1.5, [a, b], {"k": a},
//               true, false, none, range(n), range(first, last)
//   access      a.b, a["b"], a[0], a[-1], a[1:], a[:-1], a[1:3]
//   operators   or, and, not; == != < <= > >= in, not in; + - * / // %;
//               ~ joins texts; x if c else y
//   tests       x is [not] defined, undefined, none, string, number, list
//   filters     x | name(arguments), map('filter'), map(attribute='a.b');
//               arguments may have their names: template_functions.cc
//   methods     x.name(arguments): the same table
//
// Differences from Jinja: a list, none or object is never printed (a prompt
// with "['a', 'b']" or "None" in it is a mistake), `x | int` refuses what is
// no integer, an if needs its else, comparisons are not chained, the members of
// an object are in the order of their names. Line ends are kept as written.
//
// Bounds: 32 KiB of template nested 100 deep; 4 MiB of text, 100 000 items of a
// list, and a budget of steps and bytes for one evaluation.
//
// Immutable and thread-safe after Compile().
#ifndef QUANTD_EVALUATORS_TASKS_TASK_TEMPLATE_H_
#define QUANTD_EVALUATORS_TASKS_TASK_TEMPLATE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace quantd {

struct TemplateNode;

class TaskTemplate {
 public:
  // The empty text.
  TaskTemplate();

  // InvalidArgument: a syntax error with its place.
  static absl::StatusOr<TaskTemplate> Compile(absl::string_view text);

  // The value of a template that is one expression (and perhaps {% set %}s):
  // a list, a number, a text. That of a template which is the bare name of a
  // field of `record`: the field. Otherwise the text. InvalidArgument: a field
  // that is missing (names it and those of the record), a value of the wrong
  // type, over the budget. REQUIRES: `record` is an object.
  absl::StatusOr<nlohmann::json> Value(const nlohmann::json& record) const;

  // The same as text. InvalidArgument when the value is none, a list or an
  // object.
  absl::StatusOr<std::string> Text(const nlohmann::json& record) const;

  // Whether it is the bare name of a field of `record`.
  bool NamesField(const nlohmann::json& record) const;

  const std::string& source() const { return source_; }

 private:
  std::string source_;
  std::shared_ptr<const TemplateNode> block_;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_TASK_TEMPLATE_H_
