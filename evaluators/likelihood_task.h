// Tasks that are scored by the likelihood of given continuations: which choice
// is the likeliest, is the continuation the greedy one, how much of the
// probability have the true answers.
//
// With LL_c the summed log-likelihood of the tokens of choice c, the metrics of
// multiple choice are one pass and five rules of what is compared:
//   acc        LL_c
//   acc_norm   LL_c / characters of the choice, without its delimiter
//   acc_bytes  LL_c / bytes of it in UTF-8
//   acc_token  LL_c / tokens of the continuation
//   acc_pmi    LL_c - LL(choice | unconditional context), where choices have
//              another context than that
// and brier_score, sum_c (softmax(LL)_c - [c is right])^2, where one is right.
// f1 and mcc, which a task must ask for, are of the classes that LL_c chooses
// (statistics/class_scores.h): the places of choices.
// Choices whose compared numbers are equal share the answer: an item is worth
// the share of right ones among the best, where other harnesses take the first
// and call a model that says nothing right whenever the first is. loglikelihood
// has acc (every token is the likeliest) and perplexity, exp of the mean -LL
// over items; multiple_true has true_mass, the share of sum_c exp(LL_c) that
// the true choices have (MC2 of Lin et al., TruthfulQA, arXiv:2109.07958).
//
// Tokens of a choice: context and continuation are encoded together and cut
// where the context alone ends, as lm-evaluation-harness does it; the
// tokenizer's own leading token stands before both. An empty context is that
// token, or BOS or EOS where there is none. What exceeds the model's context is
// cut from the left.
//
// Confined to one thread.
#ifndef QUANTD_EVALUATORS_LIKELIHOOD_TASK_H_
#define QUANTD_EVALUATORS_LIKELIHOOD_TASK_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "evaluators/prefix_plan.h"
#include "evaluators/task_scores.h"
#include "evaluators/tasks/task_definition.h"
#include "evaluators/tasks/task_item.h"
#include "evaluators/token_score.h"
#include "models/tokenizer.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

class LikelihoodTask {
 public:
  // `context_tokens` of the model; 0: no bound. InvalidArgument names the item
  // at fault: a continuation without a token, or one that alone exceeds the
  // context; several right choices where f1 or mcc is asked for, or more than
  // two with a binary f1; a tokenizer without any special token for an empty
  // context.
  static absl::StatusOr<LikelihoodTask> Create(TaskDefinition task,
                                               std::vector<TaskItem> items,
                                               const Tokenizer& tokenizer,
                                               int64_t context_tokens);

  const std::vector<ScoreRequest>& requests() const { return requests_; }

  // What the model says of request `index`; once per request, in any order.
  // Internal, naming the item, when it is not finite.
  absl::Status Fold(size_t index, absl::Span<const TokenScore> scores);

  // REQUIRES: every request was folded. Fills everything but the tag and what
  // running it cost.
  absl::Status Report(v1::TaskReport* report) const;

 private:
  // What was found for a choice of an item.
  struct Choice {
    double log_likelihood = 0;
    double unconditional = 0;  // acc_pmi
    int tokens = 0;
    bool greedy = true;
  };
  // A request is for a choice, with its context or without.
  struct Use {
    size_t item = 0;
    size_t choice = 0;
    bool unconditional = false;
  };
  class Encoder;

  explicit LikelihoodTask(TaskDefinition task) : task_(std::move(task)) {}

  absl::Status ReportChoices(v1::TaskReport* report) const;
  // Of f1 or mcc: `best` are the likeliest choices by item.
  ItemScores ScoreClasses(const TaskMetric& metric,
                          const std::vector<std::vector<size_t>>& best) const;

  TaskDefinition task_;
  std::vector<TaskItem> items_;
  std::vector<ScoreRequest> requests_;
  std::vector<Use> uses_;
  std::vector<std::vector<Choice>> choices_;  // by item
  uint64_t cut_items_ = 0;
  bool compares_contexts_ = false;  // acc_pmi
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_LIKELIHOOD_TASK_H_
