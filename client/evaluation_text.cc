#include "client/evaluation_text.h"

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/evaluation_json.h"
#include "client/human_text.h"
#include "client/table.h"

namespace quantd {

void PrintEvaluation(Session& session, const v1::Evaluation& evaluation) {
  if (session.json()) return session.PrintJson(EvaluationToJson(evaluation));
  Table metrics({"METRIC", "PERPLEXITY", "ERROR IID", "ERROR CLUSTERED",
                 "WINDOWS", "SCORED", "TOKENS"},
                {Align::kLeft, Align::kRight, Align::kRight, Align::kRight,
                 Align::kRight, Align::kRight, Align::kRight});
  for (const v1::PerplexityReport& report : evaluation.perplexities()) {
    metrics.AddRow({report.tag().convention(), HumanNumber(report.perplexity()),
                    HumanNumber(report.error_iid()),
                    HumanNumber(report.error_clustered()),
                    absl::StrCat(report.window_count()),
                    absl::StrCat(report.scored_tokens()),
                    absl::StrCat(report.tag().token_count())});
  }
  if (evaluation.perplexities_size() > 0) {
    session.out() << metrics.ToString() << "\n";
  }
  for (const v1::GeneratedText& text : evaluation.generations()) {
    for (const v1::Continuation& continuation : text.continuations()) {
      session.out() << text.prompt() << continuation.text() << "\n  ["
                    << continuation.tokens_size() << " tokens, log p "
                    << HumanNumber(continuation.log_probability())
                    << (continuation.stopped() ? ", ended" : "") << "]\n\n";
    }
  }
  Table facts({"FIELD", "VALUE"});
  facts.AddRow({"evaluation", evaluation.name()});
  facts.AddRow({"target", evaluation.target()});
  facts.AddRow({"bits per weight", HumanBits(evaluation.bits_per_weight())});
  facts.AddRow({"size", HumanBytes(evaluation.target_size_bytes())});
  for (const v1::PerplexityReport& report : evaluation.perplexities()) {
    facts.AddRow({"tag", TagText(report.tag())});
  }
  facts.AddRow({"wall time", HumanSeconds(evaluation.wall_seconds())});
  facts.AddRow({"peak memory", HumanBytes(evaluation.peak_memory_bytes())});
  facts.AddRow(
      {"tokens per second", HumanNumber(evaluation.tokens_per_second())});
  const std::map<std::string, std::string> context(evaluation.context().begin(),
                                                   evaluation.context().end());
  for (const auto& [key, value] : context) facts.AddRow({key, value});
  session.out() << facts.ToString();
}

absl::StatusOr<std::vector<v1::Evaluation>> EvaluationsOf(
    Client& client, absl::string_view name) {
  if (absl::StartsWith(name, "evaluations/")) {
    ASSIGN_OR_RETURN(v1::Evaluation evaluation, client.GetEvaluation(name));
    return std::vector<v1::Evaluation>{std::move(evaluation)};
  }
  std::vector<std::string> targets = {std::string(name)};
  const bool bare = !absl::StrContains(name, '/');
  if (bare) {
    targets = {ResourceName("models", name), ResourceName("artifacts", name)};
  }
  for (const std::string& target : targets) {
    ASSIGN_OR_RETURN(std::vector<v1::Evaluation> evaluations,
                     client.ListEvaluations(target));
    if (!evaluations.empty()) return evaluations;
  }
  if (bare) {
    absl::StatusOr<v1::Evaluation> evaluation = client.GetEvaluation(name);
    if (evaluation.ok()) {
      return std::vector<v1::Evaluation>{*std::move(evaluation)};
    }
    if (!absl::IsNotFound(evaluation.status())) return evaluation.status();
  }
  return absl::NotFoundError(absl::StrCat(
      name, " has no evaluation; make one with quantctl evaluate ", name));
}

}  // namespace quantd
