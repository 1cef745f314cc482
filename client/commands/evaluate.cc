// quantctl evaluate
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "client/command.h"
#include "client/evaluation_text.h"
#include "client/job_options.h"
#include "client/task_options.h"

namespace quantd {
namespace {

class Evaluate : public Command {
 public:
  void Define(CLI::App& app) override {
    const auto& spec = *v1::EvaluateSpec::descriptor();
    app.add_option("target", target_, FieldHelp(spec, "target"))
        ->required()
        ->type_name("TARGET");
    app.add_option("--metric", metrics_,
                   "Metric to compute, for example ppl/gptq-512; repeatable. "
                   "See quantctl metrics list")
        ->type_name("METRIC")
        ->allow_extra_args(false);
    app.add_option("--baseline", baseline_, FieldHelp(spec, "baseline"))
        ->type_name("TARGET");
    app.add_option("--text", text_,
                   "Text to score: a local file, which is uploaded, or the "
                   "name of a dataset. Metrics need one, but for efficiency")
        ->type_name("FILE|DATASET");
    app.add_option("--max-windows", max_windows_,
                   FieldHelp(spec, "max_windows"))
        ->type_name("N");
    app.add_option("--batch-windows", batch_windows_,
                   FieldHelp(spec, "batch_windows"))
        ->type_name("N");
    app.add_option("--order", order_, FieldHelp(spec, "scoring_order"))
        ->type_name("auto|batch-major|layer-major")
        ->transform(CLI::CheckedTransformer(
            std::map<std::string, v1::ScoringOrder>{
                {"auto", v1::SCORING_ORDER_AUTO},
                {"batch-major", v1::BATCH_MAJOR},
                {"layer-major", v1::LAYER_MAJOR}},
            CLI::ignore_case));
    app.add_option("--attribute", granularity_,
                   FieldHelp(spec, "attribution_granularity"))
        ->type_name("blocks|layers")
        ->transform(CLI::CheckedTransformer(
            std::map<std::string, v1::AttributionGranularity>{
                {"blocks", v1::ATTRIBUTE_BLOCKS},
                {"layers", v1::ATTRIBUTE_LAYERS}},
            CLI::ignore_case));
    task_options_.Define(app);
    job_options_.Define(app);
  }

  absl::StatusOr<ExitCode> Run(Session& session) override {
    v1::JobSpec spec;
    job_options_.Apply(&spec);
    v1::EvaluateSpec* evaluate = spec.mutable_evaluate();
    evaluate->set_target(target_);
    evaluate->set_baseline(baseline_);
    for (const std::string& metric : metrics_) evaluate->add_metrics(metric);
    if (metrics_.empty() && !task_options_.any()) {
      return absl::InvalidArgumentError(
          "ask for a --metric, a --task or a --suite");
    }
    if (!text_.empty()) {
      ASSIGN_OR_RETURN(*evaluate->mutable_dataset(),
                       Annotate(ResolveText(session, text_), "--text"));
    }
    RETURN_IF_ERROR(task_options_.Apply(session, evaluate));
    if (max_windows_.has_value()) evaluate->set_max_windows(*max_windows_);
    if (batch_windows_.has_value()) {
      evaluate->set_batch_windows(*batch_windows_);
    }
    evaluate->set_scoring_order(order_);
    evaluate->set_attribution_granularity(granularity_);
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
  std::string target_, baseline_, text_;
  std::vector<std::string> metrics_;
  std::optional<uint32_t> max_windows_, batch_windows_;
  v1::ScoringOrder order_ = v1::SCORING_ORDER_AUTO;
  v1::AttributionGranularity granularity_ = v1::ATTRIBUTE_BLOCKS;
  TaskOptions task_options_;
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
