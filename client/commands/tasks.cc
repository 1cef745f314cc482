// quantctl tasks list|show|check
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "client/command.h"
#include "client/message_json.h"
#include "client/table.h"
#include "client/task_options.h"

namespace quantd {
namespace {

class ListTasks : public Command {
 public:
  void Define(CLI::App& app) override {}

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const std::vector<v1::TaskInfo> tasks,
                     session.client().ListTasks({}));
    Table table({"TASK", "TITLE", "KIND", "METRICS", "DATA"});
    for (const v1::TaskInfo& task : tasks) {
      if (session.json()) session.PrintJson(task);
      table.AddRow({task.name(), task.title(), task.kind(),
                    absl::StrJoin(task.metrics(), ", "), task.data_file()});
    }
    if (!session.json()) session.out() << table.ToString();
    return ExitCode::kOk;
  }
};

void PrintTaskInfo(Session& session, const v1::TaskInfo& task) {
  if (session.json()) return session.PrintJson(task);
  Table table({"FIELD", "VALUE"});
  table.AddRow({"task", task.name()});
  table.AddRow({"title", task.title()});
  table.AddRow({"about", task.about()});
  table.AddRow({"source", task.citation()});
  table.AddRow({"kind", task.kind()});
  table.AddRow({"metrics", absl::StrJoin(task.metrics(), ", ")});
  table.AddRow({"data, below --data", task.data_file()});
  if (!task.few_shot_file().empty()) {
    table.AddRow({"examples, below --data", task.few_shot_file()});
  }
  table.AddRow({"few-shot", absl::StrCat(task.few_shot())});
  session.out() << table.ToString();
}

class ShowTask : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("task", name_, "Built-in task to show")
        ->required()
        ->type_name("TASK");
    app.add_flag("--file", file_,
                 "Print the task file, to begin one of your own with");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const std::vector<v1::TaskInfo> named,
                     FindTasks(session, {name_}));
    ASSIGN_OR_RETURN(const std::vector<v1::TaskInfo> tasks,
                     session.client().ListTasks({}));
    for (const v1::TaskInfo& task : tasks) {
      if (task.name() != named[0].name()) continue;
      if (file_) {
        session.out() << task.definition();
      } else {
        PrintTaskInfo(session, task);
      }
    }
    return ExitCode::kOk;
  }

 private:
  std::string name_;
  bool file_ = false;
};

class CheckTask : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("file", file_, "Task file (.yaml) to check")
        ->required()
        ->type_name("FILE");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const std::vector<v1::TaskInfo> tasks,
                     FindTasks(session, {file_}));
    PrintTaskInfo(session, tasks[0]);
    return ExitCode::kOk;
  }

 private:
  std::string file_;
};

}  // namespace

CommandGroup TaskCommands() {
  return {"tasks",
          "Benchmark tasks",
          {
              {"list", "List built-in tasks", MakeCommand<ListTasks>},
              {"show", "Show one, or its file", MakeCommand<ShowTask>},
              {"check", "Say what a task file defines, or what is wrong",
               MakeCommand<CheckTask>},
          }};
}

}  // namespace quantd
