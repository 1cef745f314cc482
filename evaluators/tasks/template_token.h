// Templates cut into pieces: text between tags, and the tokens inside them.
// Nothing but the parser includes this file.
#ifndef QUANTD_EVALUATORS_TASKS_TEMPLATE_TOKEN_H_
#define QUANTD_EVALUATORS_TASKS_TEMPLATE_TOKEN_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantd {

struct TemplateToken {
  enum class Kind {
    kText,            // outside of tags; text
    kOutputBegin,     // {{
    kOutputEnd,       // }}
    kStatementBegin,  // {%
    kStatementEnd,    // %}
    kName,            // text, also of keywords
    kString,          // text: its value
    kNumber,          // text: as written
    kSymbol,          // text: an operator or bracket
    kEnd,
  };
  Kind kind = Kind::kEnd;
  std::string text;
  size_t place = 0;  // byte of the template
};

// Ends with a kEnd. Comments {# #} are dropped, and white space beside {{-,
// {%-, {#-, -}}, -%} and -#}. InvalidArgument names the place.
absl::StatusOr<std::vector<TemplateToken>> TokenizeTemplate(
    absl::string_view text);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_TEMPLATE_TOKEN_H_
