#include "client/evaluation_text.h"

#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "client/attribution_text.h"
#include "client/efficiency_text.h"
#include "client/evaluation_json.h"
#include "client/human_text.h"
#include "client/table.h"
#include "client/task_text.h"

namespace quantd {
namespace {

std::string PercentText(double share) {
  return absl::StrFormat("%.2f %%", 100 * share);
}

std::string PercentText(const v1::Estimate& estimate) {
  return absl::StrFormat("%.2f +/- %.2f %%", 100 * estimate.mean(),
                         100 * estimate.error_clustered());
}

// KLs of good artifacts are small: digits that count, not decimals.
std::string NatsText(double value) { return absl::StrFormat("%.4g", value); }

std::string NatsText(const v1::Estimate& estimate) {
  return absl::StrFormat("%.4g +/- %.2g", estimate.mean(),
                         estimate.error_clustered());
}

double PercentileOf(const v1::Distribution& distribution, double percent) {
  for (const v1::Percentile& percentile : distribution.percentiles()) {
    if (percentile.percent() == percent) return percentile.value();
  }
  return 0;
}

// A piece of text in one line, in quotes.
std::string Quoted(absl::string_view text) {
  return absl::StrCat(
      "\"",
      absl::StrReplaceAll(text, {{"\n", "\\n"}, {"\r", "\\r"}, {"\t", "\\t"}}),
      "\"");
}

// Of the conventions that count words and bytes.
void PrintWordsAndBytes(Session& session, const v1::Evaluation& evaluation) {
  Table table({"METRIC", "WORD PERPLEXITY", "BYTE PERPLEXITY", "BITS PER BYTE",
               "DOCUMENTS", "WORDS", "BYTES"},
              {Align::kLeft, Align::kRight, Align::kRight, Align::kRight,
               Align::kRight, Align::kRight, Align::kRight});
  const auto text = [](bool is_known, const v1::UncertainValue& value) {
    return is_known ? HumanNumber(value.value(), value.error_clustered()) : "-";
  };
  bool any = false;
  for (const v1::PerplexityReport& report : evaluation.perplexities()) {
    if (!report.has_bits_per_byte()) continue;
    any = true;
    table.AddRow({report.tag().convention(),
                  text(report.has_word_perplexity(), report.word_perplexity()),
                  text(report.has_byte_perplexity(), report.byte_perplexity()),
                  text(true, report.bits_per_byte()),
                  absl::StrCat(report.tag().document_count()),
                  absl::StrCat(report.tag().word_count()),
                  absl::StrCat(report.tag().byte_count())});
  }
  if (any) session.out() << table.ToString() << "\n";
}

void PrintDivergence(Session& session, const v1::DivergenceReport& report) {
  const v1::Distribution& kl = report.kl();
  const v1::Distribution& delta_p = report.delta_p();
  Table table({absl::AsciiStrToUpper(report.metric()), "VALUE"});
  table.AddRow({"baseline", report.baseline()});
  table.AddRow(
      {"scored tokens", absl::StrCat(report.scored_tokens(), " in ",
                                     report.window_count(), " windows")});
  table.AddRow({"mean KL, nats", NatsText(kl.mean())});
  table.AddRow(
      {"KL median, 90, 95, 99, 99.9 %, max",
       absl::StrJoin(
           {NatsText(kl.median()), NatsText(PercentileOf(kl, 90)),
            NatsText(PercentileOf(kl, 95)), NatsText(PercentileOf(kl, 99)),
            NatsText(PercentileOf(kl, 99.9)), NatsText(kl.maximum())},
           ", ")});
  table.AddRow({"mean reverse KL, nats", NatsText(report.reverse_kl())});
  table.AddRow({"mean JS, nats", NatsText(report.js())});
  table.AddRow({"same top token", PercentText(report.top1_agreement())});
  table.AddRow({"top 5 shared", PercentText(report.top5_agreement())});
  table.AddRow({"top token changed",
                absl::StrCat(report.top1_changes(), ", right to wrong ",
                             report.right_to_wrong(), ", wrong to right ",
                             report.wrong_to_right())});
  table.AddRow({"mean delta p", PercentText(delta_p.mean())});
  table.AddRow({"delta p min, 1, 5 %, median, 95, 99 %, max",
                absl::StrJoin({PercentText(delta_p.minimum()),
                               PercentText(PercentileOf(delta_p, 1)),
                               PercentText(PercentileOf(delta_p, 5)),
                               PercentText(delta_p.median()),
                               PercentText(PercentileOf(delta_p, 95)),
                               PercentText(PercentileOf(delta_p, 99)),
                               PercentText(delta_p.maximum())},
                              ", ")});
  table.AddRow({"RMS delta p",
                absl::StrFormat("%.3f +/- %.3f %%", 100 * report.delta_p_rms(),
                                100 * report.delta_p_rms_error())});
  table.AddRow({"entropy, nats",
                absl::StrCat(NatsText(report.baseline_entropy()), " to ",
                             NatsText(report.candidate_entropy()), ", shift ",
                             NatsText(report.entropy_shift()))});
  table.AddRow(
      {"calibration error",
       absl::StrCat(
           PercentText(report.baseline_calibration().expected_error()), " to ",
           PercentText(report.candidate_calibration().expected_error()))});
  table.AddRow(
      {"perplexity",
       absl::StrCat(HumanNumber(report.baseline_perplexity().perplexity()),
                    " to ",
                    HumanNumber(report.candidate_perplexity().perplexity()))});
  table.AddRow(
      {"perplexity ratio", HumanNumber(report.ratio(), report.ratio_error())});
  table.AddRow({"ln ratio", NatsText(report.log_ratio())});
  session.out() << table.ToString() << "\n";
  if (report.worst_tokens().empty()) return;
  Table worst({"WORST KL", "WINDOW", "POSITION", "TOKEN", "P BASELINE",
               "P TARGET", "TOP BASELINE", "TOP TARGET", "AFTER"},
              {Align::kRight, Align::kRight, Align::kRight, Align::kLeft,
               Align::kRight, Align::kRight});
  for (const v1::WorstToken& token : report.worst_tokens()) {
    worst.AddRow({NatsText(token.kl()), absl::StrCat(token.window()),
                  absl::StrCat(token.position()), Quoted(token.token_text()),
                  PercentText(token.baseline_probability()),
                  PercentText(token.candidate_probability()),
                  Quoted(token.baseline_top_text()),
                  Quoted(token.candidate_top_text()), Quoted(token.context())});
  }
  session.out() << worst.ToString() << "\n";
}

}  // namespace

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
  PrintWordsAndBytes(session, evaluation);
  for (const v1::DivergenceReport& report : evaluation.divergences()) {
    PrintDivergence(session, report);
  }
  for (const v1::AttributionReport& report : evaluation.attributions()) {
    PrintAttribution(session, report);
  }
  for (const v1::EfficiencyReport& report : evaluation.efficiencies()) {
    PrintEfficiency(session, report);
  }
  for (const v1::TaskReport& report : evaluation.tasks()) {
    PrintTask(session, report);
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
  // Of scoring; measured speeds stand in tables of their own.
  if (evaluation.tokens_per_second() > 0) {
    facts.AddRow(
        {"tokens per second", HumanNumber(evaluation.tokens_per_second())});
  }
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
