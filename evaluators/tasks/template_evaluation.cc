#include "evaluators/tasks/template_evaluation.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/tasks/template_arithmetic.h"
#include "evaluators/tasks/template_functions.h"
#include "evaluators/tasks/template_node.h"
#include "evaluators/tasks/template_value.h"
#include "evaluators/tasks/unicode_text.h"
#include "models/json_text.h"

namespace quantd {
namespace {

using nlohmann::json;
using Kind = TemplateNode::Kind;

// Steps of one evaluation; a step is a node, or 64 bytes of a value that it
// makes. A prompt of the usual benchmarks takes a few hundred.
constexpr int64_t kBudget = 1'000'000;
constexpr int64_t kBytesPerStep = 64;
// What the variables of one round of a loop cost.
constexpr int64_t kStepsPerRound = 16;
// Of lists in lists, which bounds every walk over a value.
constexpr int kMaxValueDepth = 64;
constexpr int64_t kMaxRange = 10'000;

// A value that is made here, or one of the record or of a variable.
class Operand {
 public:
  explicit Operand(json made) : made_(std::move(made)) {}
  explicit Operand(const json* borrowed) : borrowed_(borrowed) {}

  const json& get() const { return borrowed_ != nullptr ? *borrowed_ : made_; }
  json Take() && {
    return borrowed_ != nullptr ? *borrowed_ : std::move(made_);
  }
  // A part of this value, borrowed where this is.
  Operand Part(const json& part) && {
    if (borrowed_ != nullptr) return Operand(&part);
    return Operand(json(part));
  }

 private:
  json made_;
  const json* borrowed_ = nullptr;
};

class Evaluation {
 public:
  explicit Evaluation(const json& record) : record_(record) {}

  // The value of the only output of a template without text, if it is one.
  absl::StatusOr<json> Run(const TemplateNode& block) {
    if (const TemplateNode* output = OnlyOutput(block)) {
      for (const TemplateNodePtr& statement : block.children) {
        if (statement.get() == output) break;
        RETURN_IF_ERROR(Execute(*statement));
      }
      ASSIGN_OR_RETURN(Operand value, Evaluate(*output->children[0]));
      return std::move(value).Take();
    }
    RETURN_IF_ERROR(Execute(block));
    return json(std::move(text_));
  }

 private:
  struct Variable {
    std::string name;
    json value;
  };
  using OperandOr = absl::StatusOr<Operand>;

  static const TemplateNode* OnlyOutput(const TemplateNode& block) {
    if (block.children.empty() ||
        block.children.back()->kind != Kind::kOutput) {
      return nullptr;
    }
    for (size_t i = 0; i + 1 < block.children.size(); ++i) {
      if (block.children[i]->kind != Kind::kSet) return nullptr;
    }
    return block.children.back().get();
  }

  absl::Status Spend(int64_t steps) {
    budget_ -= steps;
    if (budget_ >= 0) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "the template takes too many steps for this record");
  }

  // Bytes of a value, roughly; charges for them.
  absl::StatusOr<int64_t> Measure(const json& value, int depth) {
    if (depth > kMaxValueDepth) {
      return absl::InvalidArgumentError("lists nested too deeply");
    }
    int64_t bytes = 16;
    if (value.is_string()) {
      bytes += static_cast<int64_t>(value.get_ref<const std::string&>().size());
    }
    if (value.is_structured()) {
      for (const auto& item : value) {
        ASSIGN_OR_RETURN(const int64_t inner, Measure(item, depth + 1));
        bytes += inner;
      }
    }
    return bytes;
  }

  OperandOr Made(json value) {
    if (value.is_array() && value.size() > kMaxTemplateItems) {
      return absl::InvalidArgumentError(
          absl::StrCat("a list of more than ", kMaxTemplateItems, " items"));
    }
    if (value.is_string() &&
        value.get_ref<const std::string&>().size() > kMaxTemplateText) {
      return absl::InvalidArgumentError(
          absl::StrCat("a text of more than ", kMaxTemplateText, " bytes"));
    }
    ASSIGN_OR_RETURN(const int64_t bytes, Measure(value, 0));
    RETURN_IF_ERROR(Spend(bytes / kBytesPerStep));
    return Operand(std::move(value));
  }

  absl::Status Print(absl::string_view text) {
    RETURN_IF_ERROR(Spend(static_cast<int64_t>(text.size()) / kBytesPerStep));
    text_.append(text.data(), text.size());
    if (text_.size() <= kMaxTemplateText) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("a text of more than ", kMaxTemplateText, " bytes"));
  }

  absl::Status Execute(const TemplateNode& node) {
    RETURN_IF_ERROR(Spend(1));
    switch (node.kind) {
      case Kind::kText:
        return Print(node.text);
      case Kind::kOutput: {
        ASSIGN_OR_RETURN(const Operand value, Evaluate(*node.children[0]));
        ASSIGN_OR_RETURN(const std::string text, TemplateText(value.get()));
        return Print(text);
      }
      case Kind::kSet: {
        ASSIGN_OR_RETURN(Operand value, Evaluate(*node.children[0]));
        ASSIGN_OR_RETURN(Operand copy, Made(std::move(value).Take()));
        variables_.push_back({node.text, std::move(copy).Take()});
        return absl::OkStatus();
      }
      case Kind::kIf:
        return ExecuteIf(node);
      case Kind::kFor:
        return ExecuteFor(node);
      default:
        for (const TemplateNodePtr& statement : node.children) {
          RETURN_IF_ERROR(Execute(*statement));
        }
        return absl::OkStatus();
    }
  }

  absl::Status ExecuteIf(const TemplateNode& node) {
    size_t i = 0;
    for (; i + 1 < node.children.size(); i += 2) {
      ASSIGN_OR_RETURN(const Operand condition, Evaluate(*node.children[i]));
      if (IsTruthy(condition.get())) return Execute(*node.children[i + 1]);
    }
    const TemplateNode* otherwise = node.children[i].get();
    return otherwise == nullptr ? absl::OkStatus() : Execute(*otherwise);
  }

  absl::Status ExecuteFor(const TemplateNode& node) {
    ASSIGN_OR_RETURN(Operand value, Evaluate(*node.children[0]));
    if (!value.get().is_array()) return WrongType("a list", value.get());
    // A copy: variables may move while the loop borrows from one of them.
    ASSIGN_OR_RETURN(const Operand list, Made(std::move(value).Take()));
    const size_t size = list.get().size();
    const size_t outer = variables_.size();
    for (size_t i = 0; i < size; ++i) {
      RETURN_IF_ERROR(Unpack(node.value, list.get()[i]));
      variables_.push_back({"loop",
                            {{"index", i + 1},
                             {"index0", i},
                             {"first", i == 0},
                             {"last", i + 1 == size},
                             {"length", size}}});
      RETURN_IF_ERROR(Execute(*node.children[1]));
      variables_.erase(variables_.begin() + static_cast<int64_t>(outer),
                       variables_.end());
    }
    return absl::OkStatus();
  }

  // Gives a round's variables their values: the item, or its items where there
  // are several names.
  absl::Status Unpack(const json& names, const json& item) {
    RETURN_IF_ERROR(Spend(kStepsPerRound * static_cast<int64_t>(names.size())));
    if (names.size() == 1) {
      variables_.push_back({names[0].get<std::string>(), item});
      return absl::OkStatus();
    }
    if (!item.is_array() || item.size() != names.size()) {
      return WrongType(absl::StrCat("a list of ", names.size(), " items"),
                       item);
    }
    for (size_t i = 0; i < names.size(); ++i) {
      variables_.push_back({names[i].get<std::string>(), item[i]});
    }
    return absl::OkStatus();
  }

  OperandOr Evaluate(const TemplateNode& node) {
    RETURN_IF_ERROR(Spend(1));
    switch (node.kind) {
      case Kind::kLiteral:
        return Operand(&node.value);
      case Kind::kName:
        return Name(node.text);
      case Kind::kRange:
        return Range(node);
      case Kind::kList:
        return List(node);
      case Kind::kObject:
        return Object(node);
      case Kind::kAttribute: {
        ASSIGN_OR_RETURN(Operand object, Evaluate(*node.children[0]));
        return Member(std::move(object), node.text);
      }
      case Kind::kIndex:
        return Index(node);
      case Kind::kSlice:
        return Slice(node);
      case Kind::kCall:
        return Call(node);
      case Kind::kMap:
        return Map(node);
      case Kind::kMapPart:
        return MapPart(node);
      case Kind::kIs:
        return Is(node);
      case Kind::kConditional: {
        ASSIGN_OR_RETURN(const Operand condition, Evaluate(*node.children[0]));
        return Evaluate(*node.children[IsTruthy(condition.get()) ? 1 : 2]);
      }
      case Kind::kAnd:
      case Kind::kOr: {
        ASSIGN_OR_RETURN(Operand left, Evaluate(*node.children[0]));
        const bool decided = IsTruthy(left.get()) == (node.kind == Kind::kOr);
        if (decided) return left;
        return Evaluate(*node.children[1]);
      }
      case Kind::kNot: {
        ASSIGN_OR_RETURN(const Operand value, Evaluate(*node.children[0]));
        return Operand(json(!IsTruthy(value.get())));
      }
      case Kind::kNegate: {
        ASSIGN_OR_RETURN(const Operand value, Evaluate(*node.children[0]));
        ASSIGN_OR_RETURN(json result,
                         TemplateArithmetic("-", json(0), value.get()));
        return Operand(std::move(result));
      }
      case Kind::kArithmetic: {
        ASSIGN_OR_RETURN(const Operand left, Evaluate(*node.children[0]));
        ASSIGN_OR_RETURN(const Operand right, Evaluate(*node.children[1]));
        for (const json* side : {&left.get(), &right.get()}) {
          ASSIGN_OR_RETURN(const int64_t bytes, Measure(*side, 0));
          RETURN_IF_ERROR(Spend(bytes / kBytesPerStep));
        }
        ASSIGN_OR_RETURN(json result, TemplateArithmetic(node.text, left.get(),
                                                         right.get()));
        return Made(std::move(result));
      }
      case Kind::kCompare:
        return Compare(node);
      default:
        return absl::InternalError("a statement inside an expression");
    }
  }

  OperandOr Name(const std::string& name) {
    for (auto variable = variables_.rbegin(); variable != variables_.rend();
         ++variable) {
      // Variables move when others are added, so they are copied.
      if (variable->name == name) return Made(json(variable->value));
    }
    if (name == "record") return Operand(&record_);
    const auto field = record_.find(name);
    if (field == record_.end()) return MissingField(name, record_);
    return Operand(&*field);
  }

  OperandOr Range(const TemplateNode& node) {
    std::vector<int64_t> bounds;
    for (const TemplateNodePtr& child : node.children) {
      ASSIGN_OR_RETURN(const Operand value, Evaluate(*child));
      ASSIGN_OR_RETURN(const int64_t bound, TemplateInteger(value.get()));
      if (bound > kMaxRange || bound < -kMaxRange) {
        return absl::InvalidArgumentError(
            absl::StrCat("range() beyond ", kMaxRange));
      }
      bounds.push_back(bound);
    }
    json list = json::array();
    const int64_t first = bounds.size() == 1 ? 0 : bounds[0];
    for (int64_t i = first; i < bounds.back(); ++i) list.push_back(i);
    return Made(std::move(list));
  }

  OperandOr List(const TemplateNode& node) {
    json list = json::array();
    for (const TemplateNodePtr& child : node.children) {
      ASSIGN_OR_RETURN(Operand item, Evaluate(*child));
      list.push_back(std::move(item).Take());
    }
    return Made(std::move(list));
  }

  // The last of equal keys counts, as in Python.
  OperandOr Object(const TemplateNode& node) {
    json object = json::object();
    for (size_t i = 0; i + 1 < node.children.size(); i += 2) {
      ASSIGN_OR_RETURN(const Operand key, Evaluate(*node.children[i]));
      ASSIGN_OR_RETURN(std::string name, TemplateKey(key.get()));
      ASSIGN_OR_RETURN(Operand value, Evaluate(*node.children[i + 1]));
      object[std::move(name)] = std::move(value).Take();
    }
    return Made(std::move(object));
  }

  OperandOr Member(Operand object, const std::string& name) {
    if (!object.get().is_object()) return MissingField(name, object.get());
    const auto member = object.get().find(name);
    if (member == object.get().end()) return MissingField(name, object.get());
    return std::move(object).Part(*member);
  }

  // A place counted from the end if negative.
  static absl::StatusOr<int64_t> Place(const json& index, int64_t size) {
    ASSIGN_OR_RETURN(const int64_t place, TemplateInteger(index));
    return place < 0 ? place + size : place;
  }

  static absl::StatusOr<int64_t> SizeOf(const json& value) {
    if (value.is_array()) return static_cast<int64_t>(value.size());
    if (value.is_string()) {
      return static_cast<int64_t>(
          CharacterCount(value.get_ref<const std::string&>()));
    }
    return WrongType("a list or a text", value);
  }

  OperandOr Index(const TemplateNode& node) {
    ASSIGN_OR_RETURN(Operand object, Evaluate(*node.children[0]));
    ASSIGN_OR_RETURN(const Operand index, Evaluate(*node.children[1]));
    if (index.get().is_string() || object.get().is_object()) {
      ASSIGN_OR_RETURN(const std::string name, TemplateKey(index.get()));
      return Member(std::move(object), name);
    }
    const json& value = object.get();
    ASSIGN_OR_RETURN(const int64_t size, SizeOf(value));
    RETURN_IF_ERROR(Spend(value.is_string() ? size / kBytesPerStep : 0));
    ASSIGN_OR_RETURN(const int64_t place, Place(index.get(), size));
    if (place < 0 || place >= size) {
      return absl::NotFoundError(absl::StrCat(
          "index ", DescribeJson(index.get()), " of ", size, " items"));
    }
    if (value.is_array()) {
      return std::move(object).Part(value[static_cast<size_t>(place)]);
    }
    return Operand(json(std::string(CharacterSlice(
        value.get_ref<const std::string&>(), place, place + 1))));
  }

  OperandOr Slice(const TemplateNode& node) {
    ASSIGN_OR_RETURN(const Operand object, Evaluate(*node.children[0]));
    ASSIGN_OR_RETURN(const int64_t size, SizeOf(object.get()));
    int64_t bounds[2] = {0, size};
    for (int i = 0; i < 2; ++i) {
      const TemplateNode* bound =
          node.children[static_cast<size_t>(i) + 1].get();
      if (bound == nullptr) continue;
      ASSIGN_OR_RETURN(const Operand value, Evaluate(*bound));
      if (value.get().is_null()) continue;
      ASSIGN_OR_RETURN(bounds[i], Place(value.get(), size));
      bounds[i] = std::clamp<int64_t>(bounds[i], 0, size);
    }
    if (object.get().is_string()) {
      return Made(json(std::string(CharacterSlice(
          object.get().get_ref<const std::string&>(), bounds[0], bounds[1]))));
    }
    json list = json::array();
    for (int64_t i = bounds[0]; i < bounds[1]; ++i) {
      list.push_back(object.get()[static_cast<size_t>(i)]);
    }
    return Made(std::move(list));
  }

  absl::StatusOr<std::vector<json>> Arguments(const TemplateNode& node) {
    std::vector<json> arguments;
    for (size_t i = 1; i < node.children.size(); ++i) {
      ASSIGN_OR_RETURN(Operand argument, Evaluate(*node.children[i]));
      arguments.push_back(std::move(argument).Take());
    }
    return arguments;
  }

  OperandOr Apply(const TemplateFunction& function, const json& self,
                  const std::vector<json>& arguments) {
    // A function reads all of its object.
    ASSIGN_OR_RETURN(const int64_t bytes, Measure(self, 0));
    RETURN_IF_ERROR(Spend(bytes / kBytesPerStep));
    ASSIGN_OR_RETURN(json value,
                     Annotate(function.run(self, arguments), function.name));
    return Made(std::move(value));
  }

  OperandOr Call(const TemplateNode& node) {
    OperandOr self = Evaluate(*node.children[0]);
    ASSIGN_OR_RETURN(std::vector<json> arguments, Arguments(node));
    if (absl::IsNotFound(self.status()) && node.function->name == "default") {
      return Operand(std::move(arguments[0]));
    }
    RETURN_IF_ERROR(self.status());
    return Apply(*node.function, self->get(), arguments);
  }

  OperandOr Map(const TemplateNode& node) {
    ASSIGN_OR_RETURN(const Operand list, Evaluate(*node.children[0]));
    if (!list.get().is_array()) return WrongType("a list", list.get());
    ASSIGN_OR_RETURN(const std::vector<json> arguments, Arguments(node));
    json mapped = json::array();
    for (const json& item : list.get()) {
      RETURN_IF_ERROR(Spend(1));
      ASSIGN_OR_RETURN(Operand value, Apply(*node.function, item, arguments));
      mapped.push_back(std::move(value).Take());
    }
    return Made(std::move(mapped));
  }

  OperandOr MapPart(const TemplateNode& node) {
    ASSIGN_OR_RETURN(const Operand list, Evaluate(*node.children[0]));
    if (!list.get().is_array()) return WrongType("a list", list.get());
    ASSIGN_OR_RETURN(const std::vector<json> arguments, Arguments(node));
    ASSIGN_OR_RETURN(const int64_t bytes, Measure(list.get(), 0));
    RETURN_IF_ERROR(Spend(bytes / kBytesPerStep));
    json mapped = json::array();
    for (const json& item : list.get()) {
      RETURN_IF_ERROR(Spend(1));
      const absl::StatusOr<const json*> part = TemplatePart(item, arguments[0]);
      if (absl::IsNotFound(part.status()) && arguments.size() > 1) {
        RETURN_IF_ERROR(AppendCopy(arguments[1], mapped));
        continue;
      }
      RETURN_IF_ERROR(part.status());
      mapped.push_back(**part);
    }
    return Made(std::move(mapped));
  }

  // Of a value that may be copied once an item.
  absl::Status AppendCopy(const json& value, json& list) {
    ASSIGN_OR_RETURN(const int64_t bytes, Measure(value, 0));
    RETURN_IF_ERROR(Spend(bytes / kBytesPerStep));
    list.push_back(value);
    return absl::OkStatus();
  }

  OperandOr Is(const TemplateNode& node) {
    const OperandOr value = Evaluate(*node.children[0]);
    const bool undefined = absl::IsNotFound(value.status());
    if (!undefined) RETURN_IF_ERROR(value.status());
    if (node.text == "defined") return Operand(json(!undefined));
    if (node.text == "undefined") return Operand(json(undefined));
    RETURN_IF_ERROR(value.status());
    const json& known = value->get();
    if (node.text == "none") return Operand(json(known.is_null()));
    if (node.text == "string") return Operand(json(known.is_string()));
    if (node.text == "list") return Operand(json(known.is_array()));
    return Operand(json(known.is_number()));
  }

  OperandOr Compare(const TemplateNode& node) {
    ASSIGN_OR_RETURN(const Operand left, Evaluate(*node.children[0]));
    ASSIGN_OR_RETURN(const Operand right, Evaluate(*node.children[1]));
    for (const json* side : {&left.get(), &right.get()}) {
      ASSIGN_OR_RETURN(const int64_t bytes, Measure(*side, 0));
      RETURN_IF_ERROR(Spend(bytes / kBytesPerStep));
    }
    ASSIGN_OR_RETURN(const bool holds,
                     TemplateCompare(node.text, left.get(), right.get()));
    return Operand(json(holds));
  }

  const json& record_;
  std::vector<Variable> variables_;
  std::string text_;
  int64_t budget_ = kBudget;
};

}  // namespace

absl::StatusOr<json> EvaluateTemplate(const TemplateNode& block,
                                      const json& record) {
  absl::StatusOr<json> value = Evaluation(record).Run(block);
  if (absl::IsNotFound(value.status())) {
    return absl::InvalidArgumentError(value.status().message());
  }
  return value;
}

}  // namespace quantd
