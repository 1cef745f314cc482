// How much of the published tasks runs once instead of once a choice, in tokens
// of a real tokenizer. The factors expected are those of characters over the
// same data, less 15 %.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "evaluators/likelihood_task.h"
#include "evaluators/prefix_plan.h"
#include "evaluators/tasks/builtin_tasks.h"
#include "evaluators/tasks/task_item.h"
#include "gmock/gmock.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

struct Expected {
  std::string task;
  double factor;
};

class PrefixSavingsTest : public testing::TestWithParam<Expected> {};

TEST_P(PrefixSavingsTest, SharedBeginningsRunOnce) {
  const std::string model = SharedPath("models/tiny-llama-7m");
  ASSERT_OK_AND_ASSIGN(const TaskDefinition task,
                       FindBuiltinTask(GetParam().task));
  const std::string path = SharedPath("data/" + task.data.file);
  if (!std::filesystem::exists(path) || !std::filesystem::exists(model)) {
    GTEST_SKIP() << path << " is absent";
  }
  ASSERT_OK_AND_ASSIGN(const std::string data, ReadFile(path));
  TaskItemOptions options;
  options.max_items = 1000;
  ASSERT_OK_AND_ASSIGN(std::vector<TaskItem> items,
                       BuildTaskItems(task, data, "", options));
  size_t choices = 0;
  for (const TaskItem& item : items) choices += item.choices.size();
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadTokenizer(model));
  ASSERT_OK_AND_ASSIGN(const LikelihoodTask run,
                       LikelihoodTask::Create(task, items, *tokenizer, 512));
  // Those with their contexts come first.
  ASSERT_OK_AND_ASSIGN(
      const PrefixPlan plan,
      PlanPrefixes(absl::MakeConstSpan(run.requests()).subspan(0, choices),
                   {}));
  const double factor =
      static_cast<double>(plan.unshared_rows) / static_cast<double>(plan.rows);
  RecordProperty("factor", std::to_string(factor));
  EXPECT_GE(factor, 0.85 * GetParam().factor) << "tokens run: " << plan.rows;
}

INSTANTIATE_TEST_SUITE_P(Tasks, PrefixSavingsTest,
                         testing::Values(Expected{"arc_easy", 2.75},
                                         Expected{"arc_challenge", 2.66},
                                         Expected{"openbookqa", 2.31},
                                         Expected{"boolq", 1.99},
                                         Expected{"hellaswag", 1.88}),
                         [](const auto& info) { return info.param.task; });

}  // namespace
}  // namespace quantd
