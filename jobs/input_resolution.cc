#include "jobs/input_resolution.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "evaluators/evaluator.h"
#include "jobs/job_files.h"
#include "jobs/job_id.h"
#include "proto/field_rules.h"
#include "quantd/v1/artifact.pb.h"
#include "quantd/v1/dataset.pb.h"
#include "quantd/v1/model.pb.h"

namespace quantd {
namespace {

absl::Status Missing(absl::string_view field, absl::string_view kind,
                     absl::string_view name) {
  return absl::NotFoundError(
      absl::StrCat(field, ": no ", kind, " named \"", name, "\""));
}

absl::StatusOr<bool> Exists(const MetadataStore& store, Table table,
                            absl::string_view id) {
  const absl::Status status = store.GetBytes(table, id).status();
  if (status.ok()) return true;
  if (absl::IsNotFound(status)) return false;
  return status;
}

// "models/x" or "x" -> "models/x", which must exist.
absl::Status ResolveOne(const MetadataStore& store, Table table,
                        absl::string_view collection, absl::string_view kind,
                        absl::string_view field, std::string* name) {
  const std::string prefix = absl::StrCat(collection, "/");
  const std::string id(absl::StripPrefix(*name, prefix));
  if (id.empty() || absl::StrContains(id, "/")) {
    return InvalidField(field, absl::StrCat("\"", *name, "\" is no name of a ",
                                            kind, " (", prefix, "{id})"));
  }
  ASSIGN_OR_RETURN(bool exists, Exists(store, table, id));
  if (!exists) return Missing(field, kind, *name);
  *name = absl::StrCat(prefix, id);
  return absl::OkStatus();
}

constexpr char kTargetField[] = "spec.evaluate.target";
constexpr char kBaselineField[] = "spec.evaluate.baseline";

// A job whose output is read: it must make one, and if it has ended well the
// output must still be there. A job that ended badly is fine here: it fails
// its dependents the same way whether it ended before or after they came.
absl::Status CheckProducer(const MetadataStore& store, absl::string_view id,
                           absl::string_view field) {
  v1::Job job;
  if (absl::Status status = store.Get(Table::kJobs, id, &job); !status.ok()) {
    return absl::IsNotFound(status) ? Missing(field, "job", JobName(id))
                                    : status;
  }
  if (!job.spec().has_quantize()) {
    return InvalidField(field, absl::StrCat(job.name(), " makes no artifact"));
  }
  if (job.state() == v1::SUCCEEDED) {
    const std::string artifact(
        absl::StripPrefix(job.result().artifact(), "artifacts/"));
    ASSIGN_OR_RETURN(bool exists, Exists(store, Table::kArtifacts, artifact));
    if (!exists) return Missing(field, "artifact", job.result().artifact());
  }
  return absl::OkStatus();
}

// `target` is what the field `field` of `spec` names.
absl::Status ResolveTarget(const MetadataStore& store, JobProducing producing,
                           absl::string_view field, std::string& target,
                           v1::JobSpec* spec) {
  if (absl::StartsWith(target, "models/")) {
    return ResolveOne(store, Table::kModels, "models", "model", field, &target);
  }
  if (absl::StartsWith(target, "jobs/")) {
    ASSIGN_OR_RETURN(std::string id, Annotate(JobIdOf(target), field));
    RETURN_IF_ERROR(CheckProducer(store, id, field));
    spec->add_after(JobName(id));
    return absl::OkStatus();
  }
  const bool is_artifact = absl::StartsWith(target, "artifacts/");
  const std::string id(absl::StripPrefix(target, "artifacts/"));
  if (id.empty() || absl::StrContains(id, "/")) {
    return InvalidField(field,
                        absl::StrCat("\"", target,
                                     "\" is no models/{id}, artifacts/{id}, "
                                     "jobs/{id} or bare id"));
  }
  // Asked before the tables: a job that ends in between has its artifact in
  // the table before it stops being live.
  const std::optional<std::string> producer = producing(id);
  if (!is_artifact) {
    ASSIGN_OR_RETURN(bool is_model, Exists(store, Table::kModels, id));
    if (is_model) {
      target = absl::StrCat("models/", id);
      return absl::OkStatus();
    }
  }
  ASSIGN_OR_RETURN(bool exists, Exists(store, Table::kArtifacts, id));
  if (exists) {
    target = absl::StrCat("artifacts/", id);
    return absl::OkStatus();
  }
  if (producer.has_value()) {
    target = JobName(*producer);
    spec->add_after(target);
    return absl::OkStatus();
  }
  return Missing(field,
                 is_artifact ? "artifact" : "model, artifact or job output",
                 target);
}

// What the target, an artifact or a job's output, was made from.
absl::Status FindOriginal(const MetadataStore& store,
                          const v1::EvaluateSpec& spec, std::string* original) {
  const std::string& target = spec.target();
  if (absl::StartsWith(target, "artifacts/")) {
    v1::Artifact artifact;
    RETURN_IF_ERROR(
        Annotate(store.Get(Table::kArtifacts,
                           absl::StripPrefix(target, "artifacts/"), &artifact),
                 kTargetField));
    *original = artifact.source();
  } else if (absl::StartsWith(target, "jobs/")) {
    v1::Job producer;
    RETURN_IF_ERROR(Annotate(
        store.Get(Table::kJobs, absl::StripPrefix(target, "jobs/"), &producer),
        kTargetField));
    *original = producer.spec().quantize().model();
  }
  if (original->empty()) {
    return InvalidField(
        kBaselineField,
        absl::StrCat("name the original that ", target,
                     " is to be compared with: only an artifact says what it "
                     "was made from"));
  }
  return absl::OkStatus();
}

absl::Status ResolveBaseline(const MetadataStore& store, JobProducing producing,
                             v1::JobSpec* spec) {
  v1::EvaluateSpec& evaluate = *spec->mutable_evaluate();
  if (evaluate.baseline().empty()) {
    if (!AnyCompares(evaluate.metrics())) return absl::OkStatus();
    RETURN_IF_ERROR(FindOriginal(store, evaluate, evaluate.mutable_baseline()));
  }
  return ResolveTarget(store, producing, kBaselineField,
                       *evaluate.mutable_baseline(), spec);
}

// Those that an evaluation reads.
absl::Status ResolveDatasets(const MetadataStore& store,
                             v1::EvaluateSpec* evaluate) {
  const auto resolve = [&](const std::string& field, std::string* name) {
    return name->empty() ? absl::OkStatus()
                         : ResolveOne(store, Table::kDatasets, "datasets",
                                      "dataset", field, name);
  };
  RETURN_IF_ERROR(
      resolve("spec.evaluate.dataset", evaluate->mutable_dataset()));
  for (int i = 0; i < evaluate->tasks_size(); ++i) {
    v1::TaskRun& run = *evaluate->mutable_tasks(i);
    const std::string field = absl::StrCat("spec.evaluate.tasks[", i, "]");
    RETURN_IF_ERROR(resolve(field + ".dataset", run.mutable_dataset()));
    RETURN_IF_ERROR(
        resolve(field + ".few_shot_dataset", run.mutable_few_shot_dataset()));
  }
  return absl::OkStatus();
}

absl::Status ResolveAfter(const MetadataStore& store, v1::JobSpec* spec) {
  for (std::string& name : *spec->mutable_after()) {
    ASSIGN_OR_RETURN(std::string id, Annotate(JobIdOf(name), "spec.after"));
    ASSIGN_OR_RETURN(bool exists, Exists(store, Table::kJobs, id));
    if (!exists) return Missing("spec.after", "job", name);
    name = JobName(id);
  }
  auto& after = *spec->mutable_after();
  std::sort(after.begin(), after.end());
  after.erase(std::unique(after.begin(), after.end()), after.end());
  return absl::OkStatus();
}

// Path and digest of a dataset's file; nothing of none.
absl::Status PrepareDataset(const MetadataStore& store,
                            const ArtifactStore& artifacts,
                            absl::string_view name, std::string* path,
                            std::string* digest) {
  if (name.empty()) return absl::OkStatus();
  v1::Dataset dataset;
  RETURN_IF_ERROR(
      Annotate(store.Get(Table::kDatasets, absl::StripPrefix(name, "datasets/"),
                         &dataset),
               name));
  RETURN_IF_ERROR(Annotate(artifacts.Verify(dataset.digest()), name));
  ASSIGN_OR_RETURN(*path, artifacts.PathOf(dataset.digest()));
  *digest = dataset.digest();
  return absl::OkStatus();
}

// A checkpoint to read, as an assignment names it.
struct Input {
  std::string directory, name, digest;
};

absl::StatusOr<Input> PrepareModel(const MetadataStore& store,
                                   absl::string_view name) {
  v1::Model model;
  RETURN_IF_ERROR(Annotate(
      store.Get(Table::kModels, absl::StripPrefix(name, "models/"), &model),
      name));
  return Input{model.path(), std::string(name), model.digest()};
}

absl::StatusOr<Input> PrepareArtifact(const MetadataStore& store,
                                      const ArtifactStore& artifacts,
                                      JobFiles& files, absl::string_view name) {
  v1::Artifact artifact;
  RETURN_IF_ERROR(
      Annotate(store.Get(Table::kArtifacts,
                         absl::StripPrefix(name, "artifacts/"), &artifact),
               name));
  ASSIGN_OR_RETURN(std::string directory,
                   Annotate(files.MaterialiseInput(artifact, artifacts), name));
  return Input{std::move(directory), std::string(name), artifact.digest()};
}

// A target or baseline with a canonical name.
absl::StatusOr<Input> PrepareTarget(const MetadataStore& store,
                                    const ArtifactStore& artifacts,
                                    JobFiles& files, std::string target) {
  if (absl::StartsWith(target, "models/")) return PrepareModel(store, target);
  if (absl::StartsWith(target, "jobs/")) {
    v1::Job producer;
    RETURN_IF_ERROR(Annotate(
        store.Get(Table::kJobs, absl::StripPrefix(target, "jobs/"), &producer),
        target));
    target = producer.result().artifact();
  }
  return PrepareArtifact(store, artifacts, files, target);
}

// The resources that `target`, with a canonical name, stands for.
absl::Status AddTargetReads(const MetadataStore& store,
                            const std::string& target,
                            std::vector<std::string>* reads) {
  reads->push_back(target);
  if (!absl::StartsWith(target, "jobs/")) return absl::OkStatus();
  const absl::StatusOr<std::string> id = JobIdOf(target);
  if (!id.ok()) return absl::OkStatus();
  v1::Job producer;
  const absl::Status status = store.Get(Table::kJobs, *id, &producer);
  if (absl::IsNotFound(status)) return absl::OkStatus();
  RETURN_IF_ERROR(status);
  reads->push_back(
      absl::StrCat("artifacts/", producer.spec().quantize().output_id()));
  return absl::OkStatus();
}

void SetInput(Input input, v1::Assignment* assignment) {
  assignment->set_input_directory(std::move(input.directory));
  assignment->set_input_name(std::move(input.name));
  assignment->set_input_digest(std::move(input.digest));
}

}  // namespace

absl::Status ResolveNames(const MetadataStore& store, JobProducing producing,
                          v1::JobSpec* spec) {
  if (spec->has_quantize()) {
    v1::QuantizeSpec& quantize = *spec->mutable_quantize();
    RETURN_IF_ERROR(ResolveOne(store, Table::kModels, "models", "model",
                               "spec.quantize.model",
                               quantize.mutable_model()));
    if (!quantize.calibration().dataset().empty()) {
      RETURN_IF_ERROR(
          ResolveOne(store, Table::kDatasets, "datasets", "dataset",
                     "spec.quantize.calibration.dataset",
                     quantize.mutable_calibration()->mutable_dataset()));
    }
  }
  if (spec->has_evaluate()) {
    RETURN_IF_ERROR(ResolveTarget(store, producing, kTargetField,
                                  *spec->mutable_evaluate()->mutable_target(),
                                  spec));
    RETURN_IF_ERROR(ResolveBaseline(store, producing, spec));
    RETURN_IF_ERROR(ResolveDatasets(store, spec->mutable_evaluate()));
  }
  return ResolveAfter(store, spec);
}

absl::StatusOr<std::vector<std::string>> ResourcesRead(
    const MetadataStore& store, const v1::JobSpec& spec) {
  std::vector<std::string> reads;
  if (spec.has_quantize()) {
    reads.push_back(spec.quantize().model());
    if (!spec.quantize().calibration().dataset().empty()) {
      reads.push_back(spec.quantize().calibration().dataset());
    }
  }
  if (spec.has_evaluate()) {
    const v1::EvaluateSpec& evaluate = spec.evaluate();
    if (!evaluate.dataset().empty()) reads.push_back(evaluate.dataset());
    for (const v1::TaskRun& run : evaluate.tasks()) {
      reads.push_back(run.dataset());
      if (!run.few_shot_dataset().empty()) {
        reads.push_back(run.few_shot_dataset());
      }
    }
    RETURN_IF_ERROR(AddTargetReads(store, spec.evaluate().target(), &reads));
    if (!spec.evaluate().baseline().empty()) {
      RETURN_IF_ERROR(
          AddTargetReads(store, spec.evaluate().baseline(), &reads));
    }
  }
  return reads;
}

absl::Status PrepareInputs(const MetadataStore& store,
                           const ArtifactStore& artifacts, JobFiles& files,
                           const v1::Job& job, v1::Assignment* assignment) {
  if (job.spec().has_quantize()) {
    const v1::QuantizeSpec& spec = job.spec().quantize();
    *assignment->mutable_recipe() = spec.recipe();
    ASSIGN_OR_RETURN(Input input, PrepareModel(store, spec.model()));
    SetInput(std::move(input), assignment);
    return PrepareDataset(store, artifacts, spec.calibration().dataset(),
                          assignment->mutable_dataset_path(),
                          assignment->mutable_dataset_digest());
  }
  const v1::EvaluateSpec& spec = job.spec().evaluate();
  RETURN_IF_ERROR(PrepareDataset(store, artifacts, spec.dataset(),
                                 assignment->mutable_dataset_path(),
                                 assignment->mutable_dataset_digest()));
  for (const v1::TaskRun& run : spec.tasks()) {
    v1::TaskInput& task = *assignment->add_tasks();
    RETURN_IF_ERROR(PrepareDataset(store, artifacts, run.dataset(),
                                   task.mutable_dataset_path(),
                                   task.mutable_dataset_digest()));
    RETURN_IF_ERROR(PrepareDataset(store, artifacts, run.few_shot_dataset(),
                                   task.mutable_few_shot_path(),
                                   task.mutable_few_shot_digest()));
  }
  ASSIGN_OR_RETURN(Input input,
                   PrepareTarget(store, artifacts, files, spec.target()));
  SetInput(std::move(input), assignment);
  if (spec.baseline().empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(Input baseline,
                   PrepareTarget(store, artifacts, files, spec.baseline()));
  assignment->set_baseline_directory(std::move(baseline.directory));
  assignment->set_baseline_name(std::move(baseline.name));
  assignment->set_baseline_digest(std::move(baseline.digest));
  return absl::OkStatus();
}

}  // namespace quantd
