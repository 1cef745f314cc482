#include "client/scoring_options.h"

#include <map>

#include "base/status_macros.h"
#include "client/job_options.h"

namespace quantd {

void ScoringOptions::Define(CLI::App& app) {
  const auto& spec = *v1::EvaluateSpec::descriptor();
  app.add_option("--metric", metrics_,
                 "Metric to compute, for example ppl/gptq-512; repeatable. "
                 "See quantctl metrics list")
      ->type_name("METRIC")
      ->allow_extra_args(false);
  app.add_option("--text", text_,
                 "Text to score: a local file, which is uploaded, or the "
                 "name of a dataset. Metrics need one, but for efficiency")
      ->type_name("FILE|DATASET");
  app.add_option("--max-windows", max_windows_, FieldHelp(spec, "max_windows"))
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
  app.add_option("--target-bits", target_bits_,
                 FieldHelp(spec, "attribution_target_bits"))
      ->type_name("B");
  task_options_.Define(app);
}

absl::Status ScoringOptions::Apply(Session& session,
                                   v1::EvaluateSpec* spec) const {
  for (const std::string& metric : metrics_) spec->add_metrics(metric);
  if (metrics_.empty() && !task_options_.any()) {
    return absl::InvalidArgumentError(
        "ask for a --metric, a --task or a --suite");
  }
  if (!text_.empty()) {
    ASSIGN_OR_RETURN(*spec->mutable_dataset(),
                     Annotate(ResolveText(session, text_), "--text"));
  }
  RETURN_IF_ERROR(task_options_.Apply(session, spec));
  if (max_windows_.has_value()) spec->set_max_windows(*max_windows_);
  if (batch_windows_.has_value()) spec->set_batch_windows(*batch_windows_);
  spec->set_scoring_order(order_);
  spec->set_attribution_granularity(granularity_);
  if (target_bits_.has_value()) {
    spec->set_attribution_target_bits(*target_bits_);
  }
  return absl::OkStatus();
}

}  // namespace quantd
