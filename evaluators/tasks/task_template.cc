#include "evaluators/tasks/task_template.h"

#include <utility>

#include "base/status_macros.h"
#include "evaluators/tasks/template_evaluation.h"
#include "evaluators/tasks/template_node.h"
#include "evaluators/tasks/template_value.h"

namespace quantd {

using nlohmann::json;

TaskTemplate::TaskTemplate() {
  auto block = std::make_shared<TemplateNode>();
  block->kind = TemplateNode::Kind::kBlock;
  block_ = std::move(block);
}

absl::StatusOr<TaskTemplate> TaskTemplate::Compile(absl::string_view text) {
  ASSIGN_OR_RETURN(TemplateNodePtr block, ParseTemplateText(text));
  TaskTemplate result;
  result.source_ = std::string(text);
  result.block_ = std::move(block);
  return result;
}

bool TaskTemplate::NamesField(const json& record) const {
  return !source_.empty() && record.contains(source_);
}

absl::StatusOr<json> TaskTemplate::Value(const json& record) const {
  if (NamesField(record)) return record[source_];
  return EvaluateTemplate(*block_, record);
}

absl::StatusOr<std::string> TaskTemplate::Text(const json& record) const {
  ASSIGN_OR_RETURN(const json value, Value(record));
  return TemplateText(value);
}

}  // namespace quantd
