#include "jobs/job_spec.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "evaluators/evaluator.h"
#include "evaluators/tasks/builtin_tasks.h"
#include "jobs/continuation_run.h"
#include "jobs/job_runner.h"
#include "jobs/task_run.h"
#include "proto/field_rules.h"
#include "quantizers/recipe.h"

namespace quantd {
namespace {

// Jobs are read back by the thousand in listings; a spec is a description,
// not a place for data.
constexpr size_t kMaxSpecBytes = 512 * 1024;
constexpr int kMaxLabels = 64;
constexpr size_t kMaxLabelBytes = 256;
// A resource id, proto/quantd/v1/options.proto.
constexpr size_t kMaxIdBytes = 128;

absl::Status CheckLabels(const v1::JobSpec& spec) {
  if (spec.labels_size() > kMaxLabels) {
    return InvalidField("spec.labels",
                        absl::StrCat("more than ", kMaxLabels, " labels"));
  }
  for (const auto& [key, value] : spec.labels()) {
    if (key.empty() || key.size() > kMaxLabelBytes ||
        value.size() > kMaxLabelBytes) {
      return InvalidField("spec.labels",
                          absl::StrCat("keys have 1 to ", kMaxLabelBytes,
                                       " bytes, values at most as many"));
    }
  }
  return absl::OkStatus();
}

absl::Status CompleteQuantize(v1::QuantizeSpec* spec) {
  const std::vector<std::string> assignments(spec->set().begin(),
                                             spec->set().end());
  if (spec->has_recipe()) {
    // A stored spec carries both; they must not contradict each other.
    if (!spec->method().empty() && spec->method() != spec->recipe().name()) {
      return InvalidField("spec.quantize.method",
                          "set the name of a method or a whole recipe, not "
                          "two different ones");
    }
    ASSIGN_OR_RETURN(*spec->mutable_recipe(),
                     Annotate(CompleteRecipe(spec->recipe(), assignments),
                              "spec.quantize.recipe"));
  } else if (!spec->method().empty()) {
    ASSIGN_OR_RETURN(*spec->mutable_recipe(),
                     Annotate(ResolveRecipe(spec->method(), assignments),
                              "spec.quantize.method"));
  } else {
    return InvalidField("spec.quantize.method", "name a method or a recipe");
  }
  if (spec->recipe().needs_calibration() &&
      spec->calibration().dataset().empty()) {
    return InvalidField("spec.quantize.calibration.dataset",
                        absl::StrCat("recipe ", spec->recipe().name(),
                                     " needs a calibration dataset"));
  }
  return absl::OkStatus();
}

// Writes the definitions of built-in tasks into the spec, so that the job stays
// what it was whatever a later build has.
absl::Status CompleteTasks(v1::EvaluateSpec* spec) {
  std::set<std::string> names;
  for (int i = 0; i < spec->tasks_size(); ++i) {
    v1::TaskRun& run = *spec->mutable_tasks(i);
    const std::string field = absl::StrCat("spec.evaluate.tasks[", i, "]");
    if (run.name().empty() && run.definition().empty()) {
      return InvalidField(field, "name a task or give the text of a task file");
    }
    const absl::StatusOr<TaskDefinition> definition = DefinitionOf(run);
    if (!definition.ok()) {
      return InvalidField(field, definition.status().message());
    }
    if (run.definition().empty()) {
      for (const BuiltinTask& task : BuiltinTasks()) {
        if (task.name == run.name()) {
          run.set_definition(std::string(task.text));
        }
      }
    }
    run.set_name(definition->name);
    if (!names.insert(run.name()).second) {
      return InvalidField(field, absl::StrCat("task ", run.name(), " twice"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckEvaluate(const v1::EvaluateSpec& spec) {
  const bool scores = spec.metrics_size() > 0 || spec.tasks_size() > 0;
  if (spec.has_generation() == scores) {
    return InvalidField("spec.evaluate.metrics",
                        "ask for metrics and tasks or for a generation, one of "
                        "the two");
  }
  if (spec.dataset().empty() &&
      (spec.has_generation() || AnyNeedsText(spec.metrics()))) {
    return InvalidField("spec.evaluate.dataset",
                        "metrics (but for efficiency) and generation need a "
                        "text");
  }
  if (spec.has_generation()) {
    if (absl::Status status =
            CheckGenerationOptions(GenerationOptionsOf(spec.generation()));
        !status.ok()) {
      return InvalidField("spec.evaluate.generation", status.message());
    }
  }
  for (const std::string& metric : spec.metrics()) {
    if (absl::Status status = KindOfMetric(metric).status(); !status.ok()) {
      return InvalidField("spec.evaluate.metrics", status.message());
    }
  }
  if (!spec.baseline().empty() && !AnyTakesBaseline(spec.metrics())) {
    return InvalidField("spec.evaluate.baseline",
                        "none of the metrics compares with a baseline; ask for "
                        "divergence/gptq-512, which reports ppl/gptq-512 too");
  }
  if (MetricsToRun(spec.metrics(), MetricKind::kAttribution).empty()) {
    constexpr char kNone[] = "none of the metrics is attribution/...";
    if (spec.attribution_granularity() != v1::ATTRIBUTE_BLOCKS) {
      return InvalidField("spec.evaluate.attribution_granularity", kNone);
    }
    if (spec.attribution_target_bits() != 0) {
      return InvalidField("spec.evaluate.attribution_target_bits", kNone);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CompleteSpec(v1::JobSpec* spec) {
  if (spec->kind_case() == v1::JobSpec::KIND_NOT_SET) {
    return InvalidField("spec", "exactly one kind of job must be set");
  }
  if (FindJobRunner(spec->kind_case()) == nullptr) {
    return absl::UnimplementedError("spec: this kind of job is not served yet");
  }
  if (spec->ByteSizeLong() > kMaxSpecBytes) {
    return InvalidField("spec",
                        absl::StrCat("larger than ", kMaxSpecBytes, " bytes"));
  }
  RETURN_IF_ERROR(CheckLabels(*spec));
  if (spec->device() == v1::GPU) {
    return absl::UnimplementedError(
        "spec.device: this build has no GPU kernels");
  }
  if (spec->has_quantize()) {
    RETURN_IF_ERROR(CompleteQuantize(spec->mutable_quantize()));
  }
  FillDefaults(spec);
  if (spec->has_evaluate()) {
    RETURN_IF_ERROR(CompleteTasks(spec->mutable_evaluate()));
    RETURN_IF_ERROR(CheckEvaluate(spec->evaluate()));
  }
  return absl::OkStatus();
}

std::string DefaultOutputId(const v1::QuantizeSpec& spec,
                            absl::string_view job_id) {
  const std::string suffix = absl::StrCat("-", spec.recipe().name(), "-",
                                          job_id.substr(job_id.size() - 6));
  std::string model(absl::StripPrefix(spec.model(), "models/"));
  if (model.size() + suffix.size() > kMaxIdBytes) {
    model.resize(kMaxIdBytes - std::min(kMaxIdBytes - 1, suffix.size()));
  }
  std::string id = model + suffix;
  // Only a recipe name of nearly the full length gets here.
  if (id.size() > kMaxIdBytes) {
    id = absl::StrCat("quantize-", job_id);
  }
  return id;
}

}  // namespace quantd
