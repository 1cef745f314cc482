#include "jobs/task_run.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/stored_scoring.h"
#include "evaluators/tasks/builtin_tasks.h"
#include "evaluators/tasks/task_item.h"
#include "jobs/continuation_run.h"
#include "jobs/run_context.h"

namespace quantd {
namespace {

absl::StatusOr<PreparedTask> PrepareTask(const v1::TaskRun& run,
                                         const v1::TaskInput& input,
                                         const Model& model,
                                         const Tokenizer& tokenizer) {
  ASSIGN_OR_RETURN(TaskDefinition definition, DefinitionOf(run));
  ASSIGN_OR_RETURN(const std::string data,
                   ReadVerified(input.dataset_path(), input.dataset_digest()));
  std::string examples;
  if (!input.few_shot_path().empty()) {
    ASSIGN_OR_RETURN(
        examples, ReadVerified(input.few_shot_path(), input.few_shot_digest()));
  }
  TaskItemOptions options;
  options.max_items = run.max_items();
  if (run.has_few_shot()) options.few_shot = static_cast<int>(run.few_shot());
  ASSIGN_OR_RETURN(std::vector<TaskItem> items,
                   BuildTaskItems(definition, data, examples, options));
  PreparedTask task;
  task.tag.set_task(definition.name);
  task.tag.set_definition_digest(definition.digest);
  task.tag.set_dataset_digest(input.dataset_digest());
  task.tag.set_few_shot_dataset_digest(input.few_shot_digest());
  task.tag.set_few_shot(static_cast<uint32_t>(
      options.few_shot.value_or(definition.num_fewshot.value_or(0))));
  task.tag.set_max_items(run.max_items());
  task.tag.set_tokenizer_digest(tokenizer.digest());
  task.tag.set_bos_policy(tokenizer.adds_bos() ? "start" : "none");
  task.tag.set_version(definition.version);
  const int64_t context = model.description().context_tokens;
  if (definition.kind == TaskKind::kGenerate) {
    ASSIGN_OR_RETURN(GenerationTask generation,
                     GenerationTask::Create(
                         std::move(definition), std::move(items), tokenizer,
                         StopTokens(model, tokenizer), context));
    task.generation.push_back(std::move(generation));
  } else {
    ASSIGN_OR_RETURN(
        LikelihoodTask likelihood,
        LikelihoodTask::Create(std::move(definition), std::move(items),
                               tokenizer, context));
    task.likelihood.push_back(std::move(likelihood));
  }
  return task;
}

}  // namespace

absl::StatusOr<TaskDefinition> DefinitionOf(const v1::TaskRun& run) {
  if (run.definition().empty()) return FindBuiltinTask(run.name());
  ASSIGN_OR_RETURN(TaskDefinition definition,
                   Annotate(ParseTaskFile(run.definition()), "task file"));
  if (!run.name().empty() && run.name() != definition.name) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the task file defines ", definition.name, ", not ", run.name()));
  }
  return definition;
}

absl::StatusOr<std::vector<PreparedTask>> PrepareTasks(
    const v1::EvaluateSpec& spec, const v1::Assignment& assignment,
    const Model& model, const Tokenizer& tokenizer) {
  if (assignment.tasks_size() != spec.tasks_size()) {
    return absl::InternalError("an assignment without the data of its tasks");
  }
  std::vector<PreparedTask> tasks;
  for (int i = 0; i < spec.tasks_size(); ++i) {
    ASSIGN_OR_RETURN(PreparedTask task,
                     Annotate(PrepareTask(spec.tasks(i), assignment.tasks(i),
                                          model, tokenizer),
                              spec.tasks(i).dataset()));
    tasks.push_back(std::move(task));
  }
  return tasks;
}

absl::StatusOr<StoredScoring> RunLikelihoodTask(
    PreparedTask& task, Scorer& scorer, ScoreStore& store,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& context,
    v1::Evaluation* evaluation) {
  LikelihoodTask& likelihood = task.likelihood[0];
  ASSIGN_OR_RETURN(const StoredScoring scoring,
                   ScoreByStore(
                       likelihood.requests(), scorer, store,
                       [&](size_t index, absl::Span<const TokenScore> scores) {
                         return likelihood.Fold(index, scores);
                       },
                       on_progress, context));
  v1::TaskReport& report = *evaluation->add_tasks();
  *report.mutable_tag() = task.tag;
  RETURN_IF_ERROR(likelihood.Report(&report));
  report.set_requests(likelihood.requests().size());
  report.set_kept_requests(scoring.kept);
  report.set_tokens_run(static_cast<uint64_t>(scoring.tokens_run));
  report.set_tokens_unshared(static_cast<uint64_t>(scoring.tokens_unshared));
  return scoring;
}

absl::StatusOr<uint64_t> RunGenerationTask(
    PreparedTask& task, Generator& generator,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& context,
    v1::Evaluation* evaluation) {
  GenerationTask& generation = task.generation[0];
  const double prompts = static_cast<double>(generation.prompts());
  RETURN_IF_ERROR(generation.Run(
      generator,
      [&](size_t done) { on_progress(static_cast<double>(done) / prompts); },
      context));
  v1::TaskReport& report = *evaluation->add_tasks();
  *report.mutable_tag() = task.tag;
  RETURN_IF_ERROR(generation.Report(&report));
  report.set_requests(generation.prompts());
  report.set_tokens_run(generation.generated_tokens());
  return generation.generated_tokens();
}

}  // namespace quantd
