// The part of an evaluate job that runs benchmark tasks.
#ifndef QUANTD_JOBS_TASK_RUN_H_
#define QUANTD_JOBS_TASK_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "evaluators/generation_task.h"
#include "evaluators/likelihood_task.h"
#include "evaluators/score_store.h"
#include "evaluators/scorer.h"
#include "evaluators/stored_scoring.h"
#include "evaluators/tasks/task_definition.h"
#include "kernels/execution_context.h"
#include "models/model.h"
#include "models/tokenizer.h"
#include "quantd/v1/evaluation.pb.h"
#include "quantd/v1/job.pb.h"
#include "quantd/v1/worker.pb.h"

namespace quantd {

// The definition of a task of a completed spec. InvalidArgument as
// ParseTaskFile().
absl::StatusOr<TaskDefinition> DefinitionOf(const v1::TaskRun& run);

// A task of a job with its questions: exactly one of the two is there.
struct PreparedTask {
  v1::TaskTag tag;
  std::vector<LikelihoodTask> likelihood;  // none or one
  std::vector<GenerationTask> generation;  // none or one
};

// Reads the data of every task and makes its questions. Errors name task, line
// and fault; DataLoss where a file is not what was registered. `tokenizer`
// outlives the tasks.
absl::StatusOr<std::vector<PreparedTask>> PrepareTasks(
    const v1::EvaluateSpec& spec, const v1::Assignment& assignment,
    const Model& model, const Tokenizer& tokenizer);

// Scores a likelihood task and adds its report to `evaluation`. `on_progress`
// is given the part that is done.
absl::StatusOr<StoredScoring> RunLikelihoodTask(
    PreparedTask& task, Scorer& scorer, ScoreStore& store,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& context,
    v1::Evaluation* evaluation);

// Writes the texts of a generation task and adds its report. Returns the tokens
// that it wrote.
absl::StatusOr<uint64_t> RunGenerationTask(
    PreparedTask& task, Generator& generator,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& context,
    v1::Evaluation* evaluation);

}  // namespace quantd

#endif  // QUANTD_JOBS_TASK_RUN_H_
