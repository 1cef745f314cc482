// quantctl evaluations list|show
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/command.h"
#include "client/evaluation_json.h"
#include "client/evaluation_text.h"
#include "client/human_text.h"
#include "client/table.h"

namespace quantd {
namespace {

class ListEvaluations : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("target", target_,
                   "Only evaluations of this model or artifact")
        ->type_name("TARGET");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    std::vector<v1::Evaluation> evaluations;
    if (target_.empty()) {
      ASSIGN_OR_RETURN(evaluations, session.client().ListEvaluations(""));
    } else {
      ASSIGN_OR_RETURN(evaluations, EvaluationsOf(session.client(), target_));
    }
    Table table({"EVALUATION", "TARGET", "METRIC", "VALUE", "TEXT", "CREATED"},
                {Align::kLeft, Align::kLeft, Align::kLeft, Align::kRight});
    for (const v1::Evaluation& evaluation : evaluations) {
      if (session.json()) session.PrintJson(EvaluationToJson(evaluation));
      for (const v1::PerplexityReport& report : evaluation.perplexities()) {
        table.AddRow(
            {BareId(evaluation.name()), evaluation.target(),
             report.tag().convention(),
             HumanNumber(report.perplexity(), report.error_clustered()),
             report.tag().text_digest().substr(0, 8),
             HumanTime(evaluation.create_time())});
      }
      for (const v1::EfficiencyReport& report : evaluation.efficiencies()) {
        table.AddRow({BareId(evaluation.name()), evaluation.target(),
                      report.metric(),
                      absl::StrFormat("%.4g tokens/s",
                                      report.target().generation().mean()),
                      "-", HumanTime(evaluation.create_time())});
      }
      for (const v1::TaskReport& report : evaluation.tasks()) {
        if (report.metrics().empty()) continue;
        const v1::TaskMetric& metric = report.metrics(0);
        table.AddRow({BareId(evaluation.name()), evaluation.target(),
                      absl::StrCat(report.tag().task(), " ", metric.name()),
                      HumanNumber(metric.value(), metric.error_clustered()),
                      report.tag().dataset_digest().substr(0, 8),
                      HumanTime(evaluation.create_time())});
      }
    }
    if (!session.json()) session.out() << table.ToString();
    return ExitCode::kOk;
  }

 private:
  std::string target_;
};

class ShowEvaluation : public Command {
 public:
  void Define(CLI::App& app) override {
    app.add_option("name", name_,
                   "Evaluation, or a model or artifact for its latest one")
        ->required()
        ->type_name("EVALUATION");
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    ASSIGN_OR_RETURN(const std::vector<v1::Evaluation> evaluations,
                     EvaluationsOf(session.client(), name_));
    PrintEvaluation(session, evaluations[0]);
    return ExitCode::kOk;
  }

 private:
  std::string name_;
};

}  // namespace

CommandGroup EvaluationCommands() {
  return {"evaluations",
          "Measured results",
          {
              {"list", "List evaluations, newest first",
               MakeCommand<ListEvaluations>},
              {"show", "Show one evaluation", MakeCommand<ShowEvaluation>},
          }};
}

}  // namespace quantd
