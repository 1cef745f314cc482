// quantctl metrics list
#include "base/status_macros.h"
#include "client/command.h"
#include "client/table.h"

namespace quantd {
namespace {

class ListMetrics : public Command {
 public:
  void Define(CLI::App& app) override {}

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const std::vector<v1::MetricInfo> metrics,
                     session.client().ListMetrics());
    Table table({"METRIC", "MEANING", "SOURCE"});
    for (const v1::MetricInfo& metric : metrics) {
      if (session.json()) session.PrintJson(metric);
      table.AddRow({metric.pattern(), metric.help(), metric.citation()});
    }
    if (!session.json()) session.out() << table.ToString();
    return ExitCode::kOk;
  }
};

}  // namespace

CommandGroup MetricCommands() {
  return {"metrics",
          "What can be measured",
          {{"list", "List metrics", MakeCommand<ListMetrics>}}};
}

}  // namespace quantd
