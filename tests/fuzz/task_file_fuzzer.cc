// The input is a task file, then, after a NUL byte, the task's data, and after
// another its few-shot data.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "base/utf8.h"
#include "evaluators/tasks/task_definition.h"
#include "evaluators/tasks/task_item.h"
#include "tests/fuzz/fuzz_checks.h"

namespace {

using quantd::TaskItem;
using quantd::TaskKind;
using quantd::test::CheckRefusal;
using quantd::test::FuzzCheck;

absl::string_view TakePart(absl::string_view& input) {
  const size_t end = std::min(input.find('\0'), input.size());
  const absl::string_view part = input.substr(0, end);
  input.remove_prefix(std::min(end + 1, input.size()));
  return part;
}

void CheckItem(const TaskItem& item, TaskKind kind) {
  FuzzCheck((kind == TaskKind::kGenerate) == item.choices.empty() &&
                (kind == TaskKind::kGenerate) == !item.references.empty(),
            "an item has choices or references");
  FuzzCheck(quantd::IsValidUtf8(item.prompt), "a prompt is UTF-8");
  for (const quantd::TaskChoice& choice : item.choices) {
    FuzzCheck(!choice.continuation.empty() && !choice.text.empty(),
              "a choice is not empty");
    FuzzCheck(quantd::IsValidUtf8(choice.context) &&
                  quantd::IsValidUtf8(choice.continuation),
              "a choice is UTF-8");
  }
  if (kind == TaskKind::kGenerate) return;
  FuzzCheck(!item.gold.empty(), "a choice is right");
  for (const int gold : item.gold) {
    FuzzCheck(gold >= 0 && static_cast<size_t>(gold) < item.choices.size(),
              "what is right is a choice");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view input(reinterpret_cast<const char*>(data), size);
  const absl::string_view yaml = TakePart(input);
  const absl::string_view records = TakePart(input);
  const auto task = quantd::ParseTaskFile(yaml);
  if (!task.ok()) {
    CheckRefusal(task.status());
    return 0;
  }
  quantd::TaskItemOptions options;
  options.max_items = 3;
  const auto items = quantd::BuildTaskItems(*task, records, input, options);
  if (!items.ok()) {
    CheckRefusal(items.status());
    return 0;
  }
  FuzzCheck(!items->empty() && items->size() <= 3,
            "as many items as asked for");
  for (const TaskItem& item : *items) CheckItem(item, task->kind);
  return 0;
}
