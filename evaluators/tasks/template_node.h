// The syntax tree of a template, and its parser. The language is described in
// task_template.h; nothing else includes this file.
#ifndef QUANTD_EVALUATORS_TASKS_TEMPLATE_NODE_H_
#define QUANTD_EVALUATORS_TASKS_TEMPLATE_NODE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace quantd {

inline constexpr size_t kMaxTemplateBytes = size_t{32} << 10;
// Of a tree and of brackets: bounds the stack of parser and evaluation.
inline constexpr int kMaxTemplateDepth = 100;

struct TemplateFunction;
struct TemplateNode;
using TemplateNodePtr = std::unique_ptr<TemplateNode>;

struct TemplateNode {
  // What `text` and `children` hold.
  enum class Kind {
    // Expressions.
    kLiteral,      // value
    kName,         // text
    kRange,        // children: 1 or 2 bounds
    kList,         // children: items
    kObject,       // children: key, value, key, value, ...
    kAttribute,    // text: name; children: object
    kIndex,        // children: object, index
    kSlice,        // children: object, first or null, last or null
    kCall,         // function; children: object, arguments
    kMap,          // function; children: list, arguments
    kMapPart,      // children: list, path, and perhaps what stands for none
    kIs,           // text: test; children: object
    kNot,          // children: operand
    kNegate,       // children: operand
    kArithmetic,   // text: + - * / // % ~; children: left, right
    kCompare,      // text: == != < <= > >= in, "not in"; children: left, right
    kAnd,          // children: left, right
    kOr,           // children: left, right
    kConditional,  // children: condition, then, else
    // Statements.
    kText,    // text
    kOutput,  // children: expression
    kSet,     // text: variable; children: expression
    kIf,     // children: condition, block, condition, block, ..., block or null
    kFor,    // value: names of variables; children: list, block
    kBlock,  // children: statements
  };

  Kind kind = Kind::kText;
  std::string text;
  nlohmann::json value;
  const TemplateFunction* function = nullptr;
  std::vector<TemplateNodePtr> children;
  int depth = 1;  // levels of the tree from here down
};

// A kBlock. InvalidArgument: a syntax error with its place ("character 12"),
// an unknown filter or method, too large or too deep.
absl::StatusOr<TemplateNodePtr> ParseTemplateText(absl::string_view text);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_TASKS_TEMPLATE_NODE_H_
