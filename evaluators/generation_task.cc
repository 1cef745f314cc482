#include "evaluators/generation_task.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/task_scores.h"
#include "evaluators/text_metrics/bleu.h"
#include "evaluators/text_metrics/chrf.h"
#include "evaluators/text_metrics/repetition.h"
#include "evaluators/text_metrics/rouge.h"

namespace quantd {
namespace {

// Texts that a report shows.
constexpr size_t kShownAnswers = 20;
// Repetition is seen in n-grams of so many tokens, seq-rep-4; a text that ends
// before it has one shows none, and is counted by itself.
constexpr int kRepeatedTokens = 4;

// Where the first stop sequence begins, or npos.
size_t FindStop(absl::string_view text, const std::vector<std::string>& until) {
  size_t at = absl::string_view::npos;
  for (const std::string& stop : until) at = std::min(at, text.find(stop));
  return at;
}

// A metric over the answers of all items by one filter.
using AnswerScorer = absl::Status (*)(const TaskMetric& metric,
                                      absl::Span<const TaskItem> items,
                                      const std::vector<std::string>& answers,
                                      ItemScores* scores);

absl::Status ScoreExactMatch(const TaskMetric& metric,
                             absl::Span<const TaskItem> items,
                             const std::vector<std::string>& answers,
                             ItemScores* scores) {
  ASSIGN_OR_RETURN(const ExactMatch match, ExactMatch::Create(metric));
  scores->is_share = true;
  for (size_t i = 0; i < items.size(); ++i) {
    scores->values.push_back(
        match.Matches(answers[i], items[i].references) ? 1 : 0);
  }
  return absl::OkStatus();
}

template <RougeScore RougeScores::*member>
absl::Status ScoreRougeF(const TaskMetric&, absl::Span<const TaskItem> items,
                         const std::vector<std::string>& answers,
                         ItemScores* scores) {
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(const RougeScores rouge,
                     ScoreRouge(answers[i], items[i].references, {}));
    scores->values.push_back((rouge.*member).f1);
  }
  return absl::OkStatus();
}

absl::Status ScoreCorpusBleu(const TaskMetric&,
                             absl::Span<const TaskItem> items,
                             const std::vector<std::string>& answers,
                             ItemScores* scores) {
  const auto counts = std::make_shared<std::vector<BleuStatistics>>();
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(const BleuStatistics own,
                     CountBleu(answers[i], items[i].references, {}));
    scores->values.push_back(
        SentenceBleu(own, BleuSmoothing::kExponential).score);
    counts->push_back(own);
  }
  scores->of_items = [counts](absl::Span<const uint32_t> drawn) {
    BleuStatistics sum;
    for (const uint32_t i : drawn) sum += (*counts)[i];
    return CorpusBleu(sum, BleuSmoothing::kExponential).score;
  };
  return absl::OkStatus();
}

template <int word_order>
absl::Status ScoreCorpusChrf(const TaskMetric&,
                             absl::Span<const TaskItem> items,
                             const std::vector<std::string>& answers,
                             ItemScores* scores) {
  const ChrfOptions options = {.word_order = word_order};
  const auto counts = std::make_shared<std::vector<ChrfStatistics>>();
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(ChrfStatistics own,
                     CountChrf(answers[i], items[i].references, options));
    scores->values.push_back(ChrfScore(own, options.beta));
    counts->push_back(std::move(own));
  }
  scores->of_items = [counts,
                      beta = options.beta](absl::Span<const uint32_t> drawn) {
    ChrfStatistics sum;
    for (const uint32_t i : drawn) sum += (*counts)[i];
    return ChrfScore(sum, beta);
  };
  return absl::OkStatus();
}

struct AnswerMetric {
  absl::string_view name;
  AnswerScorer score;
};

constexpr AnswerMetric kAnswerMetrics[] = {
    {"exact_match", ScoreExactMatch},
    {"bleu", ScoreCorpusBleu},
    {"chrf", ScoreCorpusChrf<0>},
    {"chrf++", ScoreCorpusChrf<2>},
    {"rouge1", ScoreRougeF<&RougeScores::rouge1>},
    {"rouge2", ScoreRougeF<&RougeScores::rouge2>},
    {"rougeL", ScoreRougeF<&RougeScores::rouge_l>},
    {"rougeLsum", ScoreRougeF<&RougeScores::rouge_lsum>},
};

// Numbers of the whole set of texts, whatever the references say.
template <int n>
ItemScores Distinct(const std::vector<std::vector<int32_t>>& texts) {
  ItemScores scores;
  scores.name = absl::StrCat("distinct_", n);
  scores.bootstraps = false;
  for (const std::vector<int32_t>& text : texts) {
    const auto own = CountDistinct({text}, n);
    scores.values.push_back(own.ok() ? own->distinct_share() : 0);
  }
  scores.of_items = [&texts](absl::Span<const uint32_t> drawn) {
    std::vector<std::vector<int32_t>> picked;
    for (const uint32_t i : drawn) picked.push_back(texts[i]);
    const auto all = CountDistinct(picked, n);
    return all.ok() ? all->distinct_share() : 0;
  };
  return scores;
}

ItemScores Repetition(const std::vector<std::vector<int32_t>>& texts) {
  ItemScores scores;
  scores.name = absl::StrCat("repetition_", kRepeatedTokens);
  scores.higher_is_better = false;
  for (const std::vector<int32_t>& text : texts) {
    const auto own = CountRepeated(text, kRepeatedTokens);
    scores.values.push_back(own.ok() ? own->repeated_share() : 0);
  }
  return scores;
}

}  // namespace

absl::StatusOr<GenerationTask> GenerationTask::Create(
    TaskDefinition task, std::vector<TaskItem> items,
    const Tokenizer& tokenizer, std::vector<int32_t> stop_tokens,
    int64_t context_tokens) {
  ASSIGN_OR_RETURN(
      AnswerExtractor extractor,
      Annotate(AnswerExtractor::Create(task.filters), "task ", task.name));
  GenerationTask run(std::move(task), std::move(items), std::move(extractor),
                     &tokenizer);
  const TaskGeneration& generation = run.task_.generation;
  run.options_.max_new_tokens = generation.max_new_tokens;
  run.options_.stop_tokens = std::move(stop_tokens);
  run.options_.sampling.temperature = generation.temperature;
  run.options_.sampling.top_k = generation.top_k;
  run.options_.sampling.top_p = generation.top_p;
  run.options_.seed = run.task_.few_shot.seed;
  run.options_.beams = generation.beams;
  run.options_.beam_groups = generation.beam_groups;
  run.options_.beam_diversity = generation.beam_diversity;
  run.options_.length_penalty = generation.length_penalty;
  RETURN_IF_ERROR(
      Annotate(CheckGenerationOptions(run.options_), "task ", run.task_.name));
  if (context_tokens > 0 && generation.max_new_tokens >= context_tokens) {
    return absl::InvalidArgumentError(absl::StrCat(
        "task ", run.task_.name, ": ", generation.max_new_tokens,
        " new tokens leave no room for a prompt in the model's context of ",
        context_tokens));
  }
  const size_t most =
      context_tokens > 0
          ? static_cast<size_t>(context_tokens - generation.max_new_tokens)
          : SIZE_MAX;
  for (size_t i = 0; i < run.items_.size(); ++i) {
    ASSIGN_OR_RETURN(std::vector<int32_t> tokens,
                     Annotate(tokenizer.EncodeWithBos(run.items_[i].prompt),
                              "task ", run.task_.name, ", item ", i));
    if (tokens.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("task ", run.task_.name, ", item ", i, " (line ",
                       run.items_[i].line, "): the prompt has no tokens"));
    }
    if (tokens.size() > most) {
      ++run.cut_items_;
      tokens.erase(tokens.begin(),
                   tokens.end() - static_cast<std::ptrdiff_t>(most));
    }
    run.prompts_.push_back(std::move(tokens));
  }
  return run;
}

absl::Status GenerationTask::Run(
    Generator& generator, absl::FunctionRef<void(size_t done)> on_progress,
    ExecutionContext& ctx) {
  const std::vector<std::string>& until = task_.generation.until;
  size_t longest = 0;
  for (const std::string& stop : until) {
    longest = std::max(longest, stop.size());
  }
  GenerationOptions options = options_;
  if (!until.empty()) {
    // A token has a byte or more, but for special ones: the end of the text is
    // in the last tokens. What this misses is cut off below all the same.
    options.is_complete = [&, tail = longest +
                                     8](absl::Span<const int32_t> tokens) {
      const size_t first = tokens.size() - std::min(tail, tokens.size());
      const auto text = tokenizer_->Decode(tokens.subspan(first));
      return text.ok() && FindStop(*text, until) != std::string::npos;
    };
  }
  ASSIGN_OR_RETURN(const std::vector<Continuations> results,
                   generator.Generate(prompts_, options, on_progress, ctx));
  for (const Continuations& continuations : results) {
    const Beam& best = BestBeam(continuations, options.length_penalty);
    generated_tokens_ += best.tokens.size();
    ASSIGN_OR_RETURN(std::string text, tokenizer_->Decode(best.tokens));
    const size_t stop = FindStop(text, until);
    stopped_.push_back(best.stopped || stop != std::string::npos);
    if (stop != std::string::npos) text.resize(stop);
    texts_.push_back(std::move(text));
    tokens_.push_back(best.tokens);
  }
  return absl::OkStatus();
}

absl::Status GenerationTask::Report(v1::TaskReport* report) const {
  report->set_kind(std::string(TaskKindName(task_.kind)));
  report->set_cut_items(cut_items_);
  for (const std::string& note : task_.notes) report->add_notes(note);
  std::vector<std::vector<std::string>> answers;  // by item, by filter
  for (const std::string& text : texts_) {
    answers.push_back(extractor_.Extract(text));
  }
  std::vector<ItemScores> scores;
  for (const TaskMetric& metric : task_.metrics) {
    const auto row = std::find_if(
        std::begin(kAnswerMetrics), std::end(kAnswerMetrics),
        [&](const AnswerMetric& each) { return each.name == metric.name; });
    if (row == std::end(kAnswerMetrics)) {
      return absl::InternalError(
          absl::StrCat("no metric ", metric.name, " of generated texts"));
    }
    for (size_t f = 0; f < std::max<size_t>(1, task_.filters.size()); ++f) {
      std::vector<std::string> own;
      for (const auto& each : answers) own.push_back(each[f]);
      ItemScores each;
      each.name = metric.name;
      if (!task_.filters.empty()) {
        absl::StrAppend(&each.name, ",", task_.filters[f].name);
      }
      RETURN_IF_ERROR(row->score(metric, items_, own, &each));
      scores.push_back(std::move(each));
    }
  }
  scores.push_back(Distinct<1>(tokens_));
  scores.push_back(Distinct<2>(tokens_));
  scores.push_back(Repetition(tokens_));
  RETURN_IF_ERROR(FillScores(task_, items_, scores, report));
  report->set_stopped_share(
      static_cast<double>(std::count(stopped_.begin(), stopped_.end(), true)) /
      static_cast<double>(stopped_.size()));
  ASSIGN_OR_RETURN(const double repeated,
                   RepetitionRate(tokens_, kRepeatedTokens));
  report->set_repeated_share(repeated);
  std::vector<GenerationEnd> ends;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    ends.push_back({.tokens = tokens_[i].size(), .ended = stopped_[i]});
  }
  ASSIGN_OR_RETURN(const double early, EarlyEndRate(ends, kRepeatedTokens));
  report->set_early_end_share(early);
  for (size_t i = 0; i < std::min(kShownAnswers, items_.size()); ++i) {
    v1::TaskAnswer* shown = report->add_answers();
    shown->set_item(i);
    shown->set_prompt(items_[i].prompt);
    shown->set_text(texts_[i]);
    for (const std::string& reference : items_[i].references) {
      shown->add_references(reference);
    }
    for (const std::string& answer : answers[i]) shown->add_extracted(answer);
  }
  return absl::OkStatus();
}

}  // namespace quantd
