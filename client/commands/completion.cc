// quantctl completion, and the quiet __complete it calls back for names.
#include "client/completion.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/command.h"
#include "client/quantctl.h"

namespace quantd {
namespace {

class Completion : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("shell", shell_, "bash or zsh")
        ->required()
        ->type_name("SHELL")
        ->check(CLI::IsMember({"bash", "zsh"}));
    app.footer(
        "Load it in the running shell or from its start-up file:\n"
        "  source <(quantctl completion bash)\n");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    GlobalFlags unused;
    const CommandLine line = BuildCommandLine(&unused);
    const auto entries = CompletionEntries(*line.app);
    session.out() << (shell_ == "zsh" ? ZshCompletion(entries)
                                      : BashCompletion(entries));
    return ExitCode::kOk;
  }

 private:
  std::string shell_;
};

template <typename T>
void AddIds(const absl::StatusOr<std::vector<T>>& list,
            std::vector<std::string>* names) {
  if (!list.ok()) return;
  for (const T& item : *list) names->push_back(BareId(item.name()));
}

// Prints names, one per line. Never an error: a shell that completes has no
// place for one.
class Complete : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("what", what_, "Kind of names")->required();
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    // A person waits at the prompt.
    ClientOptions options = session.client().options();
    options.timeout = absl::Seconds(2);
    Client client(options);
    std::vector<std::string> names;
    if (what_ == "models" || what_ == "targets") {
      AddIds(client.ListModels(), &names);
    }
    if (what_ == "artifacts" || what_ == "targets") {
      AddIds(client.ListArtifacts(), &names);
    }
    if (what_ == "datasets") AddIds(client.ListDatasets(), &names);
    if (what_ == "methods") AddIds(client.ListRecipes(), &names);
    if (what_ == "evaluations") AddIds(client.ListEvaluations(""), &names);
    if (what_ == "jobs") {
      ListJobsOptions newest;
      newest.limit = 100;
      AddIds(client.ListJobs(newest), &names);
    }
    if (what_ == "shells") names = {"bash", "zsh"};
    if (what_ == "states") {
      for (int i = 1; i < v1::JobState_descriptor()->value_count(); ++i) {
        names.push_back(v1::JobState_descriptor()->value(i)->name());
      }
    }
    if (what_ == "tasks") {
      const auto tasks = client.ListTasks({});
      if (tasks.ok()) {
        for (const v1::TaskInfo& task : *tasks) names.push_back(task.name());
      }
    }
    if (what_ == "metrics") {
      const auto metrics = client.ListMetrics();
      if (metrics.ok()) {
        for (const v1::MetricInfo& metric : *metrics) {
          names.push_back(metric.pattern());
        }
      }
    }
    for (const std::string& name : names) session.out() << name << "\n";
    return ExitCode::kOk;
  }

 private:
  std::string what_;
};

}  // namespace

CommandGroup CompletionCommands() {
  return {"",
          "",
          {{"completion", "Print the completion script of a shell",
            MakeCommand<Completion>},
           {"__complete", "Print names for the completion script",
            MakeCommand<Complete>, /*hidden=*/true}}};
}

}  // namespace quantd
