// Tasks that are scored by what a model writes: prompts are continued up to a
// stop sequence, answers are taken out of the texts by the task's filters, and
// compared with the references.
//
//   exact_match   one of the references is the answer, by the task's rules
//   rouge1, rouge2, rougeL, rougeLsum
//                 F of text_metrics/rouge.h, mean of items
//   bleu, chrf, chrf++
//                 of the corpus (text_metrics/bleu.h, chrf.h), 0..100, errors
//                 by bootstrap
// With several filters each metric stands once per filter, "exact_match,strict-
// match". Beside them, of the raw texts: distinct_1 and distinct_2, the share
// of distinct n-grams, and repetition_4 (text_metrics/repetition.h). The report
// says besides how much texts repeat themselves and how many ended at once: a
// broken model shows there, whatever its answers score.
//
// Confined to one thread; the device's threads work inside.
#ifndef QUANTD_EVALUATORS_GENERATION_TASK_H_
#define QUANTD_EVALUATORS_GENERATION_TASK_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "evaluators/generator.h"
#include "evaluators/task_answers.h"
#include "evaluators/tasks/task_definition.h"
#include "evaluators/tasks/task_item.h"
#include "models/tokenizer.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

class GenerationTask {
 public:
  // `context_tokens` of the model (0: no bound): prompts are cut from the left
  // so that the task's new tokens fit. `stop_tokens` end a text beside its stop
  // sequences. `tokenizer` outlives the task. InvalidArgument names the item,
  // or says that no room is left for a prompt.
  static absl::StatusOr<GenerationTask> Create(TaskDefinition task,
                                               std::vector<TaskItem> items,
                                               const Tokenizer& tokenizer,
                                               std::vector<int32_t> stop_tokens,
                                               int64_t context_tokens);

  size_t prompts() const { return prompts_.size(); }

  // Writes all texts. `on_progress(done)` counts prompts.
  absl::Status Run(Generator& generator,
                   absl::FunctionRef<void(size_t done)> on_progress,
                   ExecutionContext& ctx);

  // Tokens that Run() generated, prompts not counted.
  uint64_t generated_tokens() const { return generated_tokens_; }

  // REQUIRES: Run() was OK. Fills everything but the tag and what running it
  // cost.
  absl::Status Report(v1::TaskReport* report) const;

 private:
  GenerationTask(TaskDefinition task, std::vector<TaskItem> items,
                 AnswerExtractor extractor, const Tokenizer* tokenizer)
      : task_(std::move(task)),
        items_(std::move(items)),
        extractor_(std::move(extractor)),
        tokenizer_(tokenizer) {}

  TaskDefinition task_;
  std::vector<TaskItem> items_;
  AnswerExtractor extractor_;
  const Tokenizer* tokenizer_;
  GenerationOptions options_;
  std::vector<std::vector<int32_t>> prompts_;
  uint64_t cut_items_ = 0;
  uint64_t generated_tokens_ = 0;
  // By item: the text up to its stop, and its tokens.
  std::vector<std::string> texts_;
  std::vector<std::vector<int32_t>> tokens_;
  std::vector<bool> stopped_;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_GENERATION_TASK_H_
