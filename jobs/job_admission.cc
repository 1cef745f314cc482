#include "jobs/job_admission.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/byte_size.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "evaluators/evaluator.h"
#include "jobs/job_forecast.h"
#include "models/checkpoint.h"
#include "models/json_text.h"
#include "nlohmann/json.hpp"
#include "proto/field_rules.h"
#include "quantd/v1/dataset.pb.h"
#include "quantizers/compiled_recipe.h"
#include "quantizers/recipe_forecast.h"

namespace quantd {
namespace {

constexpr size_t kMaxKnown = 256;
constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;

const v1::ArtifactFile* FindFile(const v1::Artifact& artifact,
                                 absl::string_view path) {
  for (const v1::ArtifactFile& file : artifact.files()) {
    if (file.path() == path) return &file;
  }
  return nullptr;
}

// Bytes of a block's compressed layers. An artifact has one shard per block
// and a last one for the rest (quantizers/recipe_run.h).
uint64_t LargestBlockShard(const v1::Artifact& artifact) {
  uint64_t largest = 0;
  const v1::ArtifactFile* last = nullptr;
  for (const v1::ArtifactFile& file : artifact.files()) {
    if (!absl::EndsWith(file.path(), ".safetensors")) continue;
    if (last == nullptr || file.path() > last->path()) last = &file;
  }
  for (const v1::ArtifactFile& file : artifact.files()) {
    if (!absl::EndsWith(file.path(), ".safetensors")) continue;
    if (&file != last) largest = std::max(largest, file.size_bytes());
  }
  return largest;
}

}  // namespace

absl::StatusOr<std::optional<v1::Forecast>> JobAdmission::Admit(
    const v1::JobSpec& spec) {
  if (job_memory_bytes_ > 0 && spec.memory_bytes() > job_memory_bytes_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("spec.memory_bytes: ", ByteSizeText(spec.memory_bytes()),
                     " are more than the ", ByteSizeText(job_memory_bytes_),
                     " that this server gives a job (--job-memory)"));
  }
  std::optional<v1::Forecast> forecast;
  if (spec.has_quantize()) {
    ASSIGN_OR_RETURN(forecast, ForecastQuantize(spec));
  } else if (spec.has_evaluate()) {
    ASSIGN_OR_RETURN(forecast, ForecastEvaluate(spec));
  }
  if (forecast.has_value()) {
    // A disk that cannot be asked is not a full one.
    const uint64_t free = FreeDiskBytes(data_directory_).value_or(UINT64_MAX);
    RETURN_IF_ERROR(CheckForecast(*forecast, free));
  }
  return forecast;
}

absl::StatusOr<std::optional<v1::Forecast>> JobAdmission::ForecastQuantize(
    const v1::JobSpec& spec) {
  const v1::QuantizeSpec& quantize = spec.quantize();
  const FootprintPtr footprint = FootprintOfModel(quantize.model());
  if (footprint == nullptr) return std::nullopt;
  const auto plan = [&]() -> absl::StatusOr<JobPlan> {
    ASSIGN_OR_RETURN(const CompiledRecipe recipe,
                     CompiledRecipe::Compile(quantize.recipe()));
    RETURN_IF_ERROR(recipe.CheckFits(footprint->description));
    return PlanQuantizeJob(recipe, *footprint, spec,
                           {TextBytes(quantize.calibration().dataset()), {}},
                           MemoryLimitOf(spec));
  };
  ASSIGN_OR_RETURN(JobPlan result, Annotate(plan(), "spec.quantize.recipe on ",
                                            quantize.model()));
  return std::move(result.forecast);
}

absl::StatusOr<std::optional<v1::Forecast>> JobAdmission::ForecastEvaluate(
    const v1::JobSpec& spec) {
  const v1::EvaluateSpec& evaluate = spec.evaluate();
  const FootprintPtr footprint = FootprintOfTarget(evaluate.target());
  if (footprint == nullptr) return std::nullopt;
  FootprintPtr baseline;
  if (!evaluate.baseline().empty()) {
    baseline = FootprintOfTarget(evaluate.baseline());
    if (baseline == nullptr) return std::nullopt;
    if (AnyCompares(evaluate.metrics()) &&
        footprint->description.vocabulary_size !=
            baseline->description.vocabulary_size) {
      return InvalidField(
          "spec.evaluate.baseline",
          absl::StrCat(evaluate.baseline(), " has a vocabulary of ",
                       baseline->description.vocabulary_size, " tokens and ",
                       evaluate.target(), " one of ",
                       footprint->description.vocabulary_size,
                       ": their predictions cannot be compared"));
    }
  }
  TextSize size;
  size.bytes = TextBytes(evaluate.dataset());
  for (const v1::TaskRun& run : evaluate.tasks()) {
    size.task_bytes.push_back(TextBytes(run.dataset()));
  }
  ASSIGN_OR_RETURN(JobPlan result,
                   PlanEvaluateJob(*footprint, baseline.get(), spec, size,
                                   MemoryLimitOf(spec)));
  return std::move(result.forecast);
}

JobAdmission::FootprintPtr JobAdmission::FootprintOfTarget(
    const std::string& target) {
  if (absl::StartsWith(target, "models/")) return FootprintOfModel(target);
  if (absl::StartsWith(target, "jobs/")) return FootprintOfOutput(target);
  return FootprintOfArtifact(target);
}

JobAdmission::FootprintPtr JobAdmission::FootprintOfModel(
    absl::string_view name) {
  v1::Model model;
  if (!store_.Get(Table::kModels, absl::StripPrefix(name, "models/"), &model)
           .ok()) {
    return nullptr;
  }
  if (FootprintPtr known = FindKnown(model.digest())) return known;
  auto checkpoint = Checkpoint::Open(model.path());
  if (!checkpoint.ok()) return nullptr;
  const absl::StatusOr<ModelDescription> description =
      DescribeModel(**checkpoint);
  if (!description.ok()) return nullptr;
  auto footprint = std::make_shared<const ModelFootprint>(
      FootprintOf(**checkpoint, *description));
  // Only what the record vouches for is remembered.
  if ((*checkpoint)->header_digest() == model.digest()) {
    Remember(model.digest(), footprint);
  }
  return footprint;
}

JobAdmission::FootprintPtr JobAdmission::FootprintOfArtifact(
    absl::string_view name) {
  v1::Artifact artifact;
  if (!store_
           .Get(Table::kArtifacts, absl::StripPrefix(name, "artifacts/"),
                &artifact)
           .ok()) {
    return nullptr;
  }
  if (FootprintPtr known = FindKnown(artifact.digest())) return known;
  const v1::ArtifactFile* config = FindFile(artifact, "config.json");
  if (config == nullptr) return nullptr;
  const auto description = [&]() -> absl::StatusOr<ModelDescription> {
    ASSIGN_OR_RETURN(const std::string path,
                     artifacts_.PathOf(config->digest()));
    ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
    JsonLimits limits;
    limits.max_bytes = kMaxConfigBytes;
    ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(text, name, limits));
    return ParseModelConfig(json, name);
  }();
  if (!description.ok()) return nullptr;
  ModelFootprint footprint;
  footprint.description = *description;
  footprint.compressed_bytes = LargestBlockShard(artifact);
  if (const v1::ArtifactFile* file = FindFile(artifact, "tokenizer.json")) {
    footprint.tokenizer_bytes = file->size_bytes();
  }
  auto shared = std::make_shared<const ModelFootprint>(std::move(footprint));
  Remember(artifact.digest(), shared);
  return shared;
}

JobAdmission::FootprintPtr JobAdmission::FootprintOfOutput(
    absl::string_view name) {
  v1::Job producer;
  if (!store_.Get(Table::kJobs, absl::StripPrefix(name, "jobs/"), &producer)
           .ok()) {
    return nullptr;
  }
  const v1::QuantizeSpec& quantize = producer.spec().quantize();
  const FootprintPtr source = FootprintOfModel(quantize.model());
  if (source == nullptr) return nullptr;
  const auto recipe = CompiledRecipe::Compile(quantize.recipe());
  if (!recipe.ok()) return nullptr;
  ModelFootprint footprint = *source;
  if (const CheckpointTransform* t = recipe->checkpoint_transform()) {
    footprint = t->Footprint(*source);
  }
  footprint.compressed_bytes =
      CompressedBlockBytes(*recipe, footprint.description);
  return std::make_shared<const ModelFootprint>(std::move(footprint));
}

uint64_t JobAdmission::TextBytes(absl::string_view dataset) const {
  if (dataset.empty()) return 0;
  v1::Dataset record;
  const absl::Status status = store_.Get(
      Table::kDatasets, absl::StripPrefix(dataset, "datasets/"), &record);
  return status.ok() ? record.size_bytes() : 0;
}

JobAdmission::FootprintPtr JobAdmission::FindKnown(const std::string& digest) {
  absl::MutexLock lock(&mutex_);
  const auto it = known_.find(digest);
  return it == known_.end() ? nullptr : it->second;
}

void JobAdmission::Remember(const std::string& digest,
                            const FootprintPtr& footprint) {
  absl::MutexLock lock(&mutex_);
  if (known_.size() >= kMaxKnown) known_.clear();
  known_[digest] = footprint;
}

}  // namespace quantd
