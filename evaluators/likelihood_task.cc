#include "evaluators/likelihood_task.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/statistics/answer_distribution.h"
#include "evaluators/statistics/class_scores.h"
#include "evaluators/task_scores.h"
#include "models/json_text.h"

namespace quantd {
namespace {

// UTF-8: every byte that does not continue a character begins one.
size_t CharactersOf(absl::string_view text) {
  return static_cast<size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string NameOf(const TaskDefinition& task, const TaskItem& item,
                   size_t index) {
  return absl::StrCat("task ", task.name, ", item ", index, " (line ",
                      item.line, ")");
}

// The places of the largest of `values`.
std::vector<size_t> Best(const std::vector<double>& values) {
  std::vector<size_t> best;
  for (size_t c = 0; c < values.size(); ++c) {
    if (!best.empty() && values[c] < values[best[0]]) continue;
    if (!best.empty() && values[c] > values[best[0]]) best.clear();
    best.push_back(c);
  }
  return best;
}

bool IsGold(const TaskItem& item, size_t choice) {
  return std::binary_search(item.gold.begin(), item.gold.end(),
                            static_cast<int>(choice));
}

// Share of right choices among the best.
double Credit(const TaskItem& item, const std::vector<size_t>& best) {
  const auto right = std::count_if(best.begin(), best.end(),
                                   [&](size_t c) { return IsGold(item, c); });
  return static_cast<double>(right) / static_cast<double>(best.size());
}

// Probabilities in proportion to exp(values).
std::vector<double> Softmax(const std::vector<double>& values) {
  const double most = *std::max_element(values.begin(), values.end());
  std::vector<double> shares;
  double sum = 0;
  for (const double value : values) {
    shares.push_back(std::exp(value - most));
    sum += shares.back();
  }
  for (double& share : shares) share /= sum;
  return shares;
}

double Exp(double x) { return std::exp(x); }

bool IsOfClasses(const TaskMetric& metric) {
  return metric.name == "f1" || metric.name == "mcc";
}

// Whether the items have what the task's metrics of classes need.
absl::Status CheckClasses(const TaskDefinition& task,
                          const std::vector<TaskItem>& items) {
  for (const TaskMetric& metric : task.metrics) {
    if (!IsOfClasses(metric)) continue;
    for (size_t i = 0; i < items.size(); ++i) {
      if (items[i].gold.size() > 1) {
        return absl::InvalidArgumentError(absl::StrCat(
            NameOf(task, items[i], i), ": ", metric.name,
            " needs one right choice, there are ", items[i].gold.size()));
      }
      if (metric.f1_average == F1Average::kBinary &&
          items[i].choices.size() > 2) {
        return absl::InvalidArgumentError(
            absl::StrCat(NameOf(task, items[i], i),
                         ": the average binary of f1 is of two "
                         "choices, there are ",
                         items[i].choices.size(), "; use macro"));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

// Texts of choices to tokens. Contexts repeat from choice to choice: the last
// one is remembered.
class LikelihoodTask::Encoder {
 public:
  Encoder(const Tokenizer& tokenizer, int64_t context_tokens)
      : tokenizer_(tokenizer),
        // The last token is predicted only.
        most_(context_tokens > 0 ? static_cast<size_t>(context_tokens) + 1
                                 : std::numeric_limits<size_t>::max()) {}

  absl::StatusOr<ScoreRequest> Encode(const std::string& context,
                                      const std::string& continuation) {
    ScoreRequest request;
    size_t begin = 0;
    if (context.empty()) {
      ASSIGN_OR_RETURN(const int32_t prefix, tokenizer_.PrefixToken());
      ASSIGN_OR_RETURN(request.tokens, tokenizer_.Encode(continuation));
      request.tokens.insert(request.tokens.begin(), prefix);
      begin = 1;
    } else {
      if (!context_.has_value() || *context_ != context) {
        ASSIGN_OR_RETURN(const std::vector<int32_t> tokens,
                         tokenizer_.EncodeWithBos(context));
        context_ = context;
        context_length_ = tokens.size();
      }
      ASSIGN_OR_RETURN(request.tokens, tokenizer_.EncodeWithBos(absl::StrCat(
                                           context, continuation)));
      begin = context_length_;
    }
    if (begin == 0 || request.tokens.size() <= begin) {
      return absl::InvalidArgumentError(
          absl::StrCat("the continuation ", Quoted(continuation),
                       " has no token of its own behind its context"));
    }
    if (request.tokens.size() > most_) {
      const size_t cut = request.tokens.size() - most_;
      if (cut >= begin) {
        return absl::InvalidArgumentError(absl::StrCat(
            "a continuation of ", request.tokens.size() - begin,
            " tokens does not fit the model's context of ", most_ - 1));
      }
      request.tokens.erase(
          request.tokens.begin(),
          request.tokens.begin() + static_cast<std::ptrdiff_t>(cut));
      begin -= cut;
      cut_ = true;
    }
    request.first_target = static_cast<int>(begin);
    request.target_count = static_cast<int>(request.tokens.size() - begin);
    return request;
  }

  // Whether a text was cut since the last call.
  bool TakeCut() { return std::exchange(cut_, false); }

 private:
  const Tokenizer& tokenizer_;
  const size_t most_;
  std::optional<std::string> context_;
  size_t context_length_ = 0;
  bool cut_ = false;
};

absl::StatusOr<LikelihoodTask> LikelihoodTask::Create(
    TaskDefinition task, std::vector<TaskItem> items,
    const Tokenizer& tokenizer, int64_t context_tokens) {
  RETURN_IF_ERROR(CheckClasses(task, items));
  LikelihoodTask run(std::move(task));
  Encoder encoder(tokenizer, context_tokens);
  const auto add = [&](size_t i, size_t c, bool unconditional,
                       const std::string& context,
                       const std::string& continuation) -> absl::Status {
    ASSIGN_OR_RETURN(ScoreRequest request,
                     Annotate(encoder.Encode(context, continuation),
                              NameOf(run.task_, items[i], i)));
    run.requests_.push_back(std::move(request));
    run.uses_.push_back({i, c, unconditional});
    return absl::OkStatus();
  };
  for (size_t i = 0; i < items.size(); ++i) {
    const TaskItem& item = items[i];
    for (size_t c = 0; c < item.choices.size(); ++c) {
      RETURN_IF_ERROR(add(i, c, false, item.choices[c].context,
                          item.choices[c].continuation));
    }
    if (encoder.TakeCut()) ++run.cut_items_;
  }
  // Where choices have no context of their own (minimal pairs) there is nothing
  // to compare with.
  run.compares_contexts_ =
      run.task_.kind == TaskKind::kMultipleChoice &&
      std::any_of(items.begin(), items.end(), [](const TaskItem& item) {
        return std::any_of(item.choices.begin(), item.choices.end(),
                           [&](const TaskChoice& choice) {
                             return choice.context !=
                                    item.unconditional_context;
                           });
      });
  if (run.compares_contexts_) {
    for (size_t i = 0; i < items.size(); ++i) {
      for (size_t c = 0; c < items[i].choices.size(); ++c) {
        RETURN_IF_ERROR(add(i, c, true, items[i].unconditional_context,
                            items[i].choices[c].text));
      }
    }
  }
  for (const TaskItem& item : items) {
    run.choices_.emplace_back(item.choices.size());
  }
  run.items_ = std::move(items);
  return run;
}

absl::Status LikelihoodTask::Fold(size_t index,
                                  absl::Span<const TokenScore> scores) {
  const Use& use = uses_[index];
  const ScoreRequest& request = requests_[index];
  double sum = 0;
  bool greedy = true;
  for (size_t t = 0; t < scores.size(); ++t) {
    const size_t position = static_cast<size_t>(request.first_target) + t;
    sum -= scores[t].nll;
    greedy = greedy && scores[t].top == request.tokens[position];
  }
  if (!std::isfinite(sum)) {
    return absl::InternalError(absl::StrCat(
        NameOf(task_, items_[use.item], use.item), ", choice ", use.choice,
        ": the model gives NaN or infinite "
        "log-likelihoods"));
  }
  Choice& choice = choices_[use.item][use.choice];
  if (use.unconditional) {
    choice.unconditional = sum;
    return absl::OkStatus();
  }
  choice.log_likelihood = sum;
  choice.tokens = request.target_count;
  choice.greedy = greedy;
  return absl::OkStatus();
}

ItemScores LikelihoodTask::ScoreClasses(
    const TaskMetric& metric,
    const std::vector<std::vector<size_t>>& best) const {
  size_t classes = 2;
  const auto all = std::make_shared<std::vector<ClassifiedItem>>();
  for (size_t i = 0; i < items_.size(); ++i) {
    classes = std::max(classes, items_[i].choices.size());
    ClassifiedItem& item = all->emplace_back();
    item.right = static_cast<uint32_t>(items_[i].gold[0]);
    item.given.assign(best[i].begin(), best[i].end());
  }
  ClassScore score = ClassScore::kMatthews;
  if (metric.name == "f1") {
    const bool is_binary =
        metric.f1_average == F1Average::kBinary ||
        (metric.f1_average == F1Average::kByChoices && classes == 2);
    score = is_binary ? ClassScore::kF1OfSecond : ClassScore::kMacroF1;
  }
  ItemScores scores;
  scores.name = metric.name;
  ClassCounts counts(classes);
  for (const ClassifiedItem& item : *all) counts.Add(item);
  for (const ClassifiedItem& item : *all) {
    scores.values.push_back(counts.Score(score) +
                            static_cast<double>(all->size()) *
                                counts.Slope(score, item));
  }
  scores.of_items = [all, classes, score](absl::Span<const uint32_t> drawn) {
    ClassCounts own(classes);
    for (const uint32_t i : drawn) own.Add((*all)[i]);
    return own.Score(score);
  };
  return scores;
}

absl::Status LikelihoodTask::ReportChoices(v1::TaskReport* report) const {
  struct Rule {
    const char* name;
    double (*compared)(const Choice& choice, const TaskChoice& text);
    bool unconditional = false;
  };
  static constexpr Rule kRules[] = {
      {"acc",
       [](const Choice& c, const TaskChoice&) { return c.log_likelihood; }},
      {"acc_norm",
       [](const Choice& c, const TaskChoice& t) {
         return c.log_likelihood / static_cast<double>(CharactersOf(t.text));
       }},
      {"acc_bytes",
       [](const Choice& c, const TaskChoice& t) {
         return c.log_likelihood / static_cast<double>(t.text.size());
       }},
      {"acc_token",
       [](const Choice& c, const TaskChoice&) {
         return c.log_likelihood / c.tokens;
       }},
      {"acc_pmi",
       [](const Choice& c, const TaskChoice&) {
         return c.log_likelihood - c.unconditional;
       },
       true},
  };
  std::vector<ItemScores> scores;
  bool one_right = true;
  size_t most_choices = 0;
  for (const Rule& rule : kRules) {
    if (rule.unconditional && !compares_contexts_) continue;
    ItemScores each;
    each.name = rule.name;
    each.is_share = true;
    for (size_t i = 0; i < items_.size(); ++i) {
      std::vector<double> compared;
      for (size_t c = 0; c < items_[i].choices.size(); ++c) {
        compared.push_back(rule.compared(choices_[i][c], items_[i].choices[c]));
      }
      each.values.push_back(Credit(items_[i], Best(compared)));
    }
    scores.push_back(std::move(each));
  }
  ItemScores brier;
  brier.name = "brier_score";
  brier.higher_is_better = false;
  std::vector<int32_t> chosen, gold;
  std::vector<std::vector<size_t>> likeliest;
  uint64_t ties = 0, indistinguishable = 0;
  for (size_t i = 0; i < items_.size(); ++i) {
    const TaskItem& item = items_[i];
    most_choices = std::max(most_choices, item.choices.size());
    one_right = one_right && item.gold.size() == 1;
    std::vector<double> sums;
    for (const Choice& choice : choices_[i]) {
      sums.push_back(choice.log_likelihood);
    }
    const std::vector<size_t> best = Best(sums);
    if (best.size() > 1) ++ties;
    const bool all_equal = std::all_of(
        item.choices.begin(), item.choices.end(), [&](const TaskChoice& c) {
          return c.context == item.choices[0].context &&
                 c.continuation == item.choices[0].continuation;
        });
    if (all_equal) ++indistinguishable;
    const std::vector<double> shares = Softmax(sums);
    double score = 0;
    for (size_t c = 0; c < shares.size(); ++c) {
      const double error = shares[c] - (IsGold(item, c) ? 1 : 0);
      score += error * error;
    }
    brier.values.push_back(score);
    chosen.push_back(static_cast<int32_t>(best[0]));
    likeliest.push_back(best);
    gold.push_back(item.gold[0]);
  }
  if (one_right) scores.push_back(std::move(brier));
  for (const TaskMetric& metric : task_.metrics) {
    if (IsOfClasses(metric)) scores.push_back(ScoreClasses(metric, likeliest));
  }
  report->set_tied_items(ties);
  report->set_indistinguishable_items(indistinguishable);
  *report->mutable_item_choice() = {chosen.begin(), chosen.end()};
  OrderByTask(task_, &scores);
  RETURN_IF_ERROR(FillScores(task_, items_, scores, report));
  ASSIGN_OR_RETURN(
      const AnswerDistribution answers,
      DescribeAnswers(chosen, gold, static_cast<int32_t>(most_choices)));
  *report->mutable_gold_share() = {answers.gold_share.begin(),
                                   answers.gold_share.end()};
  *report->mutable_chosen_share() = {answers.chosen_share.begin(),
                                     answers.chosen_share.end()};
  report->set_constant_answer(answers.is_degenerate());
  return absl::OkStatus();
}

absl::Status LikelihoodTask::Report(v1::TaskReport* report) const {
  report->set_kind(std::string(TaskKindName(task_.kind)));
  report->set_cut_items(cut_items_);
  for (const std::string& note : task_.notes) report->add_notes(note);
  if (task_.kind == TaskKind::kMultipleChoice) return ReportChoices(report);
  std::vector<ItemScores> scores;
  if (task_.kind == TaskKind::kMultipleTrue) {
    ItemScores mass;
    mass.name = "true_mass";
    for (size_t i = 0; i < items_.size(); ++i) {
      std::vector<double> sums;
      for (const Choice& choice : choices_[i]) {
        sums.push_back(choice.log_likelihood);
      }
      const std::vector<double> shares = Softmax(sums);
      double right = 0;
      for (const int c : items_[i].gold) {
        right += shares[static_cast<size_t>(c)];
      }
      mass.values.push_back(right);
    }
    scores.push_back(std::move(mass));
  } else {
    ItemScores greedy, perplexity;
    greedy.name = "acc";
    greedy.is_share = true;
    perplexity.name = "perplexity";
    perplexity.higher_is_better = false;
    perplexity.of_mean = Exp;
    perplexity.slope = Exp;
    for (const std::vector<Choice>& choices : choices_) {
      greedy.values.push_back(choices[0].greedy ? 1 : 0);
      perplexity.values.push_back(-choices[0].log_likelihood);
    }
    scores.push_back(std::move(greedy));
    scores.push_back(std::move(perplexity));
  }
  OrderByTask(task_, &scores);
  return FillScores(task_, items_, scores, report);
}

}  // namespace quantd
