// quantctl evaluate
#include <optional>
#include <string>

#include "base/status_macros.h"
#include "client/command.h"
#include "client/evaluation_text.h"
#include "client/job_options.h"
#include "client/scoring_options.h"

namespace quantd {
namespace {

class Evaluate : public Command {
 public:
  void Define(CLI::App& app) override {
    const auto& spec = *v1::EvaluateSpec::descriptor();
    app.add_option("target", target_, FieldHelp(spec, "target"))
        ->required()
        ->type_name("TARGET");
    app.add_option("--baseline", baseline_, FieldHelp(spec, "baseline"))
        ->type_name("TARGET");
    scoring_options_.Define(app);
    job_options_.Define(app);
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    v1::JobSpec spec;
    job_options_.Apply(&spec);
    v1::EvaluateSpec* evaluate = spec.mutable_evaluate();
    evaluate->set_target(target_);
    evaluate->set_baseline(baseline_);
    RETURN_IF_ERROR(scoring_options_.Apply(session, evaluate));
    ExitCode code = ExitCode::kOk;
    ASSIGN_OR_RETURN(const std::optional<v1::Job> job,
                     job_options_.Submit(session, spec, &code));
    if (!job.has_value()) return code;
    ASSIGN_OR_RETURN(
        const v1::Evaluation evaluation,
        session.client().GetEvaluation(job->result().evaluation()));
    PrintEvaluation(session, evaluation);
    return code;
  }

 private:
  std::string target_, baseline_;
  ScoringOptions scoring_options_;
  JobOptions job_options_;
};

}  // namespace

CommandGroup EvaluateCommands() {
  return {"",
          "",
          {{"evaluate", "Score a model or an artifact on texts and tasks",
            MakeCommand<Evaluate>}}};
}

}  // namespace quantd
