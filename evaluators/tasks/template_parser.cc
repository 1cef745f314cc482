#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "evaluators/tasks/template_cursor.h"
#include "evaluators/tasks/template_functions.h"
#include "evaluators/tasks/template_node.h"
#include "evaluators/tasks/template_token.h"
#include "models/json_text.h"

namespace quantd {
namespace {

using Kind = TemplateNode::Kind;
using NodeOr = absl::StatusOr<TemplateNodePtr>;

constexpr absl::string_view kTests[] = {"defined", "undefined", "none",
                                        "string",  "number",    "list"};

TemplateNodePtr NewNode(Kind kind, std::string text = "") {
  auto node = std::make_unique<TemplateNode>();
  node->kind = kind;
  node->text = std::move(text);
  return node;
}

// Recursive descent; precedences as in Jinja, lowest first: x if c else y; or;
// and; not; comparison; + -; ~; * / // %; unary minus; filters, tests, calls.
class Parser : private TemplateCursor {
 public:
  using TemplateCursor::TemplateCursor;

  NodeOr Run() && {
    ASSIGN_OR_RETURN(TemplateNodePtr block, Block());
    if (Peek().kind != TokenKind::kEnd) {
      return Fault(
          absl::StrCat("{% ", Ahead().text, " %} without what it belongs to"));
    }
    return block;
  }

 private:
  // Calls that are open, as far as the text can nest them.
  class Level {
   public:
    explicit Level(Parser& parser) : parser_(parser) { ++parser_.open_; }
    ~Level() { --parser_.open_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

    absl::Status Check() const {
      return parser_.open_ <= kMaxTemplateDepth ? absl::OkStatus()
                                                : parser_.TooDeep();
    }

   private:
    Parser& parser_;
  };

  absl::Status TooDeep() const {
    return Fault(
        absl::StrCat("nested more than ", kMaxTemplateDepth, " levels deep"));
  }

  // Chains of operators are loops here but levels of the tree.
  absl::Status Adopt(TemplateNode& parent, TemplateNodePtr child) {
    if (child != nullptr) {
      parent.depth = std::max(parent.depth, child->depth + 1);
    }
    parent.children.push_back(std::move(child));
    return parent.depth <= kMaxTemplateDepth ? absl::OkStatus() : TooDeep();
  }

  NodeOr Block() {
    Level level(*this);
    RETURN_IF_ERROR(level.Check());
    TemplateNodePtr block = NewNode(Kind::kBlock);
    while (Peek().kind != TokenKind::kEnd) {
      if (IsStatement("elif") || IsStatement("else") || IsStatement("endif") ||
          IsStatement("endfor")) {
        break;
      }
      ASSIGN_OR_RETURN(TemplateNodePtr statement, Statement());
      RETURN_IF_ERROR(Adopt(*block, std::move(statement)));
    }
    return block;
  }

  NodeOr Statement() {
    if (Peek().kind == TokenKind::kText) {
      return NewNode(Kind::kText, Take().text);
    }
    if (Peek().kind == TokenKind::kOutputBegin) {
      Take();
      TemplateNodePtr output = NewNode(Kind::kOutput);
      RETURN_IF_ERROR(Operand(*output));
      RETURN_IF_ERROR(NeedEnd(TokenKind::kOutputEnd));
      return output;
    }
    Take();  // {%
    if (TakeWord("set")) {
      ASSIGN_OR_RETURN(std::string name, Name("a name"));
      TemplateNodePtr set = NewNode(Kind::kSet, std::move(name));
      RETURN_IF_ERROR(NeedSymbol("="));
      RETURN_IF_ERROR(Operand(*set));
      RETURN_IF_ERROR(NeedEnd(TokenKind::kStatementEnd));
      return set;
    }
    if (TakeWord("if")) return If();
    if (TakeWord("for")) return For();
    return Expected("set, if or for");
  }

  NodeOr If() {
    TemplateNodePtr node = NewNode(Kind::kIf);
    do {
      RETURN_IF_ERROR(Operand(*node));
      RETURN_IF_ERROR(NeedEnd(TokenKind::kStatementEnd));
      RETURN_IF_ERROR(Branch(*node));
    } while (TakeStatement("elif"));
    if (TakeStatement("else")) {
      RETURN_IF_ERROR(NeedEnd(TokenKind::kStatementEnd));
      RETURN_IF_ERROR(Branch(*node));
    } else {
      RETURN_IF_ERROR(Adopt(*node, nullptr));
    }
    if (!TakeStatement("endif")) return Expected("{% endif %}");
    RETURN_IF_ERROR(NeedEnd(TokenKind::kStatementEnd));
    return node;
  }

  NodeOr For() {
    TemplateNodePtr node = NewNode(Kind::kFor);
    do {
      ASSIGN_OR_RETURN(std::string name, Name("a name"));
      node->value.push_back(std::move(name));
    } while (TakeSymbol(","));
    if (!TakeWord("in")) return Expected("in");
    RETURN_IF_ERROR(Operand(*node));
    RETURN_IF_ERROR(NeedEnd(TokenKind::kStatementEnd));
    RETURN_IF_ERROR(Branch(*node));
    if (!TakeStatement("endfor")) return Expected("{% endfor %}");
    RETURN_IF_ERROR(NeedEnd(TokenKind::kStatementEnd));
    return node;
  }

  // Parses a block into the next child of `node`.
  absl::Status Branch(TemplateNode& node) {
    ASSIGN_OR_RETURN(TemplateNodePtr block, Block());
    return Adopt(node, std::move(block));
  }

  // Parses an expression into the next child of `node`.
  absl::Status Operand(TemplateNode& node) {
    ASSIGN_OR_RETURN(TemplateNodePtr child, Expression());
    return Adopt(node, std::move(child));
  }

  NodeOr Expression() {
    Level level(*this);
    RETURN_IF_ERROR(level.Check());
    ASSIGN_OR_RETURN(TemplateNodePtr then, Or());
    if (!TakeWord("if")) return then;
    TemplateNodePtr node = NewNode(Kind::kConditional);
    ASSIGN_OR_RETURN(TemplateNodePtr condition, Or());
    if (!TakeWord("else")) return Expected("else");
    RETURN_IF_ERROR(Adopt(*node, std::move(condition)));
    RETURN_IF_ERROR(Adopt(*node, std::move(then)));
    RETURN_IF_ERROR(Operand(*node));
    return node;
  }

  // left (op right)*, from the left. `op` takes an operator or returns "".
  template <typename Next, typename Op>
  NodeOr Chain(Kind kind, Next next, Op op) {
    ASSIGN_OR_RETURN(TemplateNodePtr left, next());
    while (true) {
      std::string symbol = op();
      if (symbol.empty()) return left;
      ASSIGN_OR_RETURN(TemplateNodePtr right, next());
      TemplateNodePtr node = NewNode(kind, std::move(symbol));
      RETURN_IF_ERROR(Adopt(*node, std::move(left)));
      RETURN_IF_ERROR(Adopt(*node, std::move(right)));
      left = std::move(node);
    }
  }

  NodeOr Or() {
    return Chain(
        Kind::kOr, [&] { return And(); },
        [&] { return std::string(TakeWord("or") ? "or" : ""); });
  }

  NodeOr And() {
    return Chain(
        Kind::kAnd, [&] { return Not(); },
        [&] { return std::string(TakeWord("and") ? "and" : ""); });
  }

  NodeOr Not() {
    if (!TakeWord("not")) return Compare();
    Level level(*this);
    RETURN_IF_ERROR(level.Check());
    TemplateNodePtr node = NewNode(Kind::kNot);
    ASSIGN_OR_RETURN(TemplateNodePtr operand, Not());
    RETURN_IF_ERROR(Adopt(*node, std::move(operand)));
    return node;
  }

  std::string TakeComparison() {
    if (TakeWord("in")) return "in";
    if (IsWord("not") && Ahead().kind == TokenKind::kName &&
        Ahead().text == "in") {
      Take();
      Take();
      return "not in";
    }
    return TakeAnySymbol({"==", "!=", "<=", ">=", "<", ">"});
  }

  NodeOr Compare() {
    ASSIGN_OR_RETURN(TemplateNodePtr left, Sum());
    std::string symbol = TakeComparison();
    if (symbol.empty()) return left;
    TemplateNodePtr node = NewNode(Kind::kCompare, std::move(symbol));
    ASSIGN_OR_RETURN(TemplateNodePtr right, Sum());
    RETURN_IF_ERROR(Adopt(*node, std::move(left)));
    RETURN_IF_ERROR(Adopt(*node, std::move(right)));
    if (!TakeComparison().empty()) {
      return Fault("comparisons cannot be chained; use and");
    }
    return node;
  }

  NodeOr Sum() {
    return Chain(
        Kind::kArithmetic, [&] { return Concatenation(); },
        [&] {
          return TakeAnySymbol({"+", "-"});
        });
  }

  NodeOr Concatenation() {
    return Chain(
        Kind::kArithmetic, [&] { return Product(); },
        [&] { return TakeAnySymbol({"~"}); });
  }

  NodeOr Product() {
    return Chain(
        Kind::kArithmetic, [&] { return Unary(); },
        [&] {
          return TakeAnySymbol({"*", "//", "/", "%"});
        });
  }

  NodeOr Unary() {
    if (!TakeSymbol("-")) return Postfix();
    Level level(*this);
    RETURN_IF_ERROR(level.Check());
    TemplateNodePtr node = NewNode(Kind::kNegate);
    ASSIGN_OR_RETURN(TemplateNodePtr operand, Unary());
    RETURN_IF_ERROR(Adopt(*node, std::move(operand)));
    return node;
  }

  NodeOr Postfix() {
    ASSIGN_OR_RETURN(TemplateNodePtr node, Primary());
    while (true) {
      TemplateNodePtr outer;
      if (TakeSymbol(".")) {
        ASSIGN_OR_RETURN(outer, Member(std::move(node)));
      } else if (TakeSymbol("[")) {
        ASSIGN_OR_RETURN(outer, Subscript(std::move(node)));
      } else if (TakeSymbol("|")) {
        ASSIGN_OR_RETURN(outer, Filter(std::move(node)));
      } else if (TakeWord("is")) {
        ASSIGN_OR_RETURN(outer, Test(std::move(node)));
      } else if (IsSymbol("(")) {
        return Fault("only methods, filters and range() can be called");
      } else {
        return node;
      }
      node = std::move(outer);
    }
  }

  NodeOr Member(TemplateNodePtr object) {
    if (Peek().kind != TokenKind::kName) return Expected("a name");
    std::string name = Take().text;
    if (!IsSymbol("(")) {
      TemplateNodePtr node = NewNode(Kind::kAttribute, std::move(name));
      RETURN_IF_ERROR(Adopt(*node, std::move(object)));
      return node;
    }
    return Call(std::move(object), name, FunctionUse::kMethod, TakeSymbol("("));
  }

  NodeOr Filter(TemplateNodePtr object) {
    if (Peek().kind != TokenKind::kName) return Expected("a filter");
    std::string name = Take().text;
    if (name != "map") {
      return Call(std::move(object), name, FunctionUse::kFilter,
                  TakeSymbol("("));
    }
    RETURN_IF_ERROR(NeedSymbol("("));
    if (IsArgumentName()) {
      TemplateNodePtr node = NewNode(Kind::kMapPart);
      RETURN_IF_ERROR(Adopt(*node, std::move(object)));
      static constexpr absl::string_view kParameters[] = {"attribute",
                                                          "default"};
      RETURN_IF_ERROR(Arguments("filter map", 1, kParameters, *node));
      return node;
    }
    if (Peek().kind != TokenKind::kString) {
      return Expected("the name of a filter in quotes, or attribute=");
    }
    const std::string mapped = Take().text;
    if (!TakeSymbol(",") && !IsSymbol(")")) return Expected("a comma or )");
    ASSIGN_OR_RETURN(TemplateNodePtr node,
                     Call(std::move(object), mapped, FunctionUse::kFilter,
                          /*has_arguments=*/true));
    node->kind = Kind::kMap;
    return node;
  }

  // Behind the name and the bracket that opens the arguments, if there are any.
  NodeOr Call(TemplateNodePtr object, const std::string& name, FunctionUse use,
              bool has_arguments) {
    const absl::string_view what =
        use == FunctionUse::kMethod ? "method" : "filter";
    const TemplateFunction* function = FindTemplateFunction(name, use);
    if (function == nullptr) {
      return Fault(absl::StrCat("unknown ", what, " ", Quoted(name),
                                "; known: ", TemplateFunctionNames(use)));
    }
    TemplateNodePtr node = NewNode(Kind::kCall);
    node->function = function;
    RETURN_IF_ERROR(Adopt(*node, std::move(object)));
    RETURN_IF_ERROR(Arguments(
        absl::StrCat(what, " ", name), function->min_arguments,
        absl::MakeSpan(function->parameters).first(function->max_arguments),
        *node, has_arguments));
    return node;
  }

  // Whether here is `name =`.
  bool IsArgumentName() const {
    return Peek().kind == TokenKind::kName &&
           Ahead().kind == TokenKind::kSymbol && Ahead().text == "=";
  }

  // Arguments of `what` up to the bracket that closes them, behind the children
  // that `node` has: one for each of `parameters` as far as they are given, and
  // none where one is passed over. The first `least` are needed.
  absl::Status Arguments(absl::string_view what, size_t least,
                         absl::Span<const absl::string_view> parameters,
                         TemplateNode& node, bool has_arguments = true) {
    std::vector<TemplateNodePtr> given;
    size_t count = 0;
    bool named = false;
    while (has_arguments && !TakeSymbol(")")) {
      size_t at = given.size();
      if (IsArgumentName()) {
        named = true;
        const auto* found =
            std::find(parameters.begin(), parameters.end(), Peek().text);
        at = static_cast<size_t>(found - parameters.begin());
        if (at == parameters.size()) {
          return Fault(
              absl::StrCat(what, " has no argument ", Quoted(Peek().text),
                           "; known: ", absl::StrJoin(parameters, ", ")));
        }
        if (at < given.size() && given[at] != nullptr) {
          return Fault(
              absl::StrCat("argument ", Peek().text, " is given twice"));
        }
        Take();
        Take();
      } else if (named) {
        return Fault("an argument without a name behind one that has a name");
      }
      if (at >= given.size()) given.resize(at + 1);
      ASSIGN_OR_RETURN(given[at], Expression());
      ++count;
      if (!TakeSymbol(",") && !IsSymbol(")")) {
        return Expected("a comma or \")\"");
      }
    }
    const bool complete =
        given.size() >= least &&
        std::none_of(given.begin(), given.begin() + least,
                     [](const TemplateNodePtr& one) { return one == nullptr; });
    if (!complete || given.size() > parameters.size()) {
      return Fault(absl::StrCat(what, " takes ", least, " to ",
                                parameters.size(), " arguments, got ", count));
    }
    for (TemplateNodePtr& argument : given) {
      if (argument == nullptr) argument = NewNode(Kind::kLiteral);
      RETURN_IF_ERROR(Adopt(node, std::move(argument)));
    }
    return absl::OkStatus();
  }

  NodeOr Test(TemplateNodePtr object) {
    const bool negated = TakeWord("not");
    if (Peek().kind != TokenKind::kName ||
        !std::count(std::begin(kTests), std::end(kTests), Peek().text)) {
      return Expected("defined, undefined, none, string, number or list");
    }
    TemplateNodePtr test = NewNode(Kind::kIs, Take().text);
    RETURN_IF_ERROR(Adopt(*test, std::move(object)));
    if (!negated) return test;
    TemplateNodePtr node = NewNode(Kind::kNot);
    RETURN_IF_ERROR(Adopt(*node, std::move(test)));
    return node;
  }

  NodeOr Subscript(TemplateNodePtr object) {
    TemplateNodePtr node = NewNode(Kind::kIndex);
    RETURN_IF_ERROR(Adopt(*node, std::move(object)));
    RETURN_IF_ERROR(IsSymbol(":") ? Adopt(*node, nullptr) : Operand(*node));
    if (TakeSymbol(":")) {
      node->kind = Kind::kSlice;
      RETURN_IF_ERROR(IsSymbol("]") ? Adopt(*node, nullptr) : Operand(*node));
    }
    RETURN_IF_ERROR(NeedSymbol("]"));
    return node;
  }

  // Expressions with commas between them, up to `close`.
  absl::Status Items(TemplateNode& node, absl::string_view close) {
    while (!TakeSymbol(close)) {
      RETURN_IF_ERROR(Operand(node));
      if (IsSymbol("=")) return Fault("arguments have no names here");
      if (!TakeSymbol(",") && !IsSymbol(close)) {
        return Expected(absl::StrCat("a comma or ", Quoted(close)));
      }
    }
    return absl::OkStatus();
  }

  NodeOr Primary() {
    TemplateNodePtr literal = NewNode(Kind::kLiteral);
    switch (Peek().kind) {
      case TokenKind::kString:
        // Strings that stand side by side are one, as in Python.
        literal->value = "";
        while (Peek().kind == TokenKind::kString) {
          literal->value.get_ref<std::string&>() += Take().text;
        }
        return literal;
      case TokenKind::kNumber:
        RETURN_IF_ERROR(Number(Peek().text, literal->value));
        Take();
        return literal;
      case TokenKind::kSymbol:
        if (TakeSymbol("(")) {
          ASSIGN_OR_RETURN(TemplateNodePtr inner, Expression());
          RETURN_IF_ERROR(NeedSymbol(")"));
          return inner;
        }
        if (TakeSymbol("[")) {
          TemplateNodePtr list = NewNode(Kind::kList);
          RETURN_IF_ERROR(Items(*list, "]"));
          return list;
        }
        if (TakeSymbol("{")) return Object();
        return Expected("a value");
      case TokenKind::kName:
        break;
      default:
        return Expected("a value");
    }
    if (TakeWord("true") || TakeWord("True")) {
      literal->value = true;
      return literal;
    }
    if (TakeWord("false") || TakeWord("False")) {
      literal->value = false;
      return literal;
    }
    if (TakeWord("none") || TakeWord("None")) return literal;
    ASSIGN_OR_RETURN(std::string name, Name("a value"));
    if (name != "range" || !TakeSymbol("(")) {
      return NewNode(Kind::kName, std::move(name));
    }
    TemplateNodePtr range = NewNode(Kind::kRange);
    RETURN_IF_ERROR(Items(*range, ")"));
    if (range->children.empty() || range->children.size() > 2) {
      return Fault("range takes one or two numbers");
    }
    return range;
  }

  // Behind the brace that opens it.
  NodeOr Object() {
    TemplateNodePtr node = NewNode(Kind::kObject);
    while (!TakeSymbol("}")) {
      RETURN_IF_ERROR(Operand(*node));
      RETURN_IF_ERROR(NeedSymbol(":"));
      RETURN_IF_ERROR(Operand(*node));
      if (!TakeSymbol(",") && !IsSymbol("}")) {
        return Expected("a comma or \"}\"");
      }
    }
    return node;
  }

  absl::Status Number(const std::string& text, nlohmann::json& value) {
    if (int64_t integer; absl::SimpleAtoi(text, &integer)) {
      value = integer;
      return absl::OkStatus();
    }
    double number = 0;
    if (text.find('.') == std::string::npos ||
        !absl::SimpleAtod(text, &number)) {
      return Fault(absl::StrCat("number ", Quoted(text), " is too large"));
    }
    value = number;
    return absl::OkStatus();
  }

  int open_ = 0;
};

}  // namespace

absl::StatusOr<TemplateNodePtr> ParseTemplateText(absl::string_view text) {
  if (text.size() > kMaxTemplateBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("larger than ", kMaxTemplateBytes, " bytes"));
  }
  if (!IsValidUtf8(text)) return absl::InvalidArgumentError("not UTF-8");
  ASSIGN_OR_RETURN(std::vector<TemplateToken> tokens, TokenizeTemplate(text));
  return Parser(std::move(tokens)).Run();
}

}  // namespace quantd
