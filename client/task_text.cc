#include "client/task_text.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/human_text.h"
#include "client/table.h"

namespace quantd {
namespace {

std::string Number(double value) { return absl::StrFormat("%.4f", value); }

std::string Small(double value) { return absl::StrFormat("%.3g", value); }

void PrintSubsets(Session& session, const v1::TaskReport& report) {
  std::map<std::string, std::vector<const v1::TaskSubset*>> by_key;
  for (const v1::TaskSubset& subset : report.subsets()) {
    by_key[subset.key()].push_back(&subset);
  }
  for (const auto& [key, subsets] : by_key) {
    std::vector<std::string> header = {absl::AsciiStrToUpper(key), "ITEMS"};
    std::vector<Align> align = {Align::kLeft};
    for (const v1::TaskMetric& metric : report.metrics()) {
      header.push_back(absl::AsciiStrToUpper(metric.name()));
    }
    align.resize(header.size(), Align::kRight);
    Table table(header, align);
    for (const v1::TaskSubset* subset : subsets) {
      std::vector<std::string> cells = {subset->value(),
                                        absl::StrCat(subset->item_count())};
      for (const double value : subset->values()) {
        cells.push_back(Number(value));
      }
      table.AddRow(std::move(cells));
    }
    session.out() << table.ToString() << "\n";
  }
}

// Where the right answers are, and what was chosen.
std::string PlacesText(const v1::TaskReport& report) {
  std::vector<std::string> places;
  for (int i = 0; i < report.chosen_share_size(); ++i) {
    places.push_back(absl::StrFormat("%.0f of %.0f %%",
                                     100 * report.chosen_share(i),
                                     100 * report.gold_share(i)));
  }
  return absl::StrJoin(places, ", ");
}

}  // namespace

void PrintTask(Session& session, const v1::TaskReport& report) {
  Table table({absl::AsciiStrToUpper(report.tag().task()), "VALUE", "ERROR IID",
               "ERROR CLUSTERED", "95 %"},
              {Align::kLeft, Align::kRight, Align::kRight, Align::kRight});
  for (const v1::TaskMetric& metric : report.metrics()) {
    table.AddRow(
        {metric.name(), Number(metric.value()), Number(metric.error_iid()),
         Number(metric.error_clustered()),
         metric.high() > metric.low()
             ? absl::StrCat(Number(metric.low()), " .. ", Number(metric.high()))
             : ""});
  }
  session.out() << table.ToString() << "\n";
  PrintSubsets(session, report);
  Table facts({"FIELD", "VALUE"});
  facts.AddRow({"items", absl::StrCat(report.item_count(), " in ",
                                      report.cluster_count(), " clusters")});
  facts.AddRow({"few-shot", absl::StrCat(report.tag().few_shot())});
  if (report.tied_items() > 0) {
    facts.AddRow({"tied", absl::StrCat(report.tied_items(), ", of them ",
                                       report.indistinguishable_items(),
                                       " with equal choices")});
  }
  if (report.cut_items() > 0) {
    facts.AddRow({"cut to the context", absl::StrCat(report.cut_items())});
  }
  if (report.chosen_share_size() > 1) {
    facts.AddRow({"chosen of right, by place", PlacesText(report)});
  }
  if (report.constant_answer()) {
    facts.AddRow({"warning", "the same place is chosen for every item"});
  }
  if (report.kind() == "generate_until") {
    facts.AddRow({"ended by themselves",
                  absl::StrFormat("%.1f %%", 100 * report.stopped_share())});
  }
  if (report.has_early_end_share()) {
    facts.AddRow({"ended before 4 tokens",
                  absl::StrFormat("%.1f %%", 100 * report.early_end_share())});
  }
  if (report.has_repeated_share()) {
    facts.AddRow({"4-grams said before",
                  absl::StrFormat("%.1f %%", 100 * report.repeated_share())});
  }
  if (report.tokens_unshared() > 0) {
    facts.AddRow(
        {"tokens run",
         absl::StrFormat("%d of %d, sharing saves a factor of %.2f",
                         report.tokens_run(), report.tokens_unshared(),
                         static_cast<double>(report.tokens_unshared()) /
                             static_cast<double>(report.tokens_run()))});
  }
  if (report.kept_requests() > 0) {
    facts.AddRow(
        {"scored before", absl::StrCat(report.kept_requests(), " of ",
                                       report.requests(), " requests")});
  }
  for (const std::string& note : report.notes()) facts.AddRow({"note", note});
  session.out() << facts.ToString() << "\n";
  for (const v1::TaskAnswer& answer : std::vector<v1::TaskAnswer>(
           report.answers().begin(),
           report.answers().begin() + std::min(3, report.answers_size()))) {
    session.out() << "item " << answer.item() << ": " << answer.text()
                  << "\n  [answer " << absl::StrJoin(answer.extracted(), " | ")
                  << ", reference " << absl::StrJoin(answer.references(), " | ")
                  << "]\n\n";
  }
}

Json TaskToJson(const v1::TaskReport& report) {
  v1::TaskReport shown = report;
  shown.clear_item_cluster();
  shown.clear_item_choice();
  shown.clear_metrics();
  shown.clear_subsets();
  Json json = MessageToJson(shown);
  json.erase("item_cluster");
  json.erase("item_choice");
  Json& metrics = json["metrics"] = Json::object();
  for (v1::TaskMetric metric : report.metrics()) {
    metric.clear_item_values();
    Json own = MessageToJson(metric);
    own.erase("item_values");
    own.erase("name");
    metrics[metric.name()] = std::move(own);
  }
  Json& subsets = json["subsets"] = Json::object();
  for (const v1::TaskSubset& subset : report.subsets()) {
    Json& own = subsets[subset.key()][subset.value()];
    own["item_count"] = subset.item_count();
    for (int m = 0; m < subset.values_size(); ++m) {
      own[report.metrics(m).name()] = subset.values(m);
    }
  }
  return json;
}

std::string VerdictText(const v1::MetricComparison& row) {
  std::string text = absl::AsciiStrToLower(v1::Verdict_Name(row.verdict()));
  if (row.items_needed() > 0) {
    absl::StrAppend(&text, ", ", row.items_needed(), " more needed");
  }
  return text;
}

void PrintVerdicts(Session& session, const v1::Comparison& comparison) {
  Table table(
      {"METRIC", "ITEMS", "BASELINE", "CANDIDATE", "LOSS", "INTERVAL", "TEST",
       "P", "ADJUSTED P", "FLIPS", "DETECTABLE", "MARGIN", "VERDICT"},
      {Align::kLeft, Align::kRight, Align::kRight, Align::kRight, Align::kRight,
       Align::kRight, Align::kLeft, Align::kRight, Align::kRight, Align::kRight,
       Align::kRight, Align::kRight});
  for (const bool family : {true, false}) {
    for (const v1::MetricComparison& row : comparison.metrics()) {
      if (row.in_family() != family) continue;
      const bool flips = row.right_to_wrong() + row.wrong_to_right() > 0 ||
                         row.test() == "mcnemar";
      table.AddRow({absl::StrCat(row.task(), " ", row.metric()),
                    absl::StrCat(row.item_count()), Number(row.baseline()),
                    Number(row.candidate()), Number(row.loss()),
                    absl::StrCat(Number(row.low()), " .. ", Number(row.high())),
                    row.test(), Small(row.p_value()),
                    family ? Small(row.adjusted_p_value()) : "",
                    flips ? absl::StrCat(row.right_to_wrong(), " - ",
                                         row.wrong_to_right())
                          : "",
                    Number(row.minimum_detectable_effect()),
                    Number(row.margin()), VerdictText(row)});
    }
  }
  session.out() << table.ToString();
}

}  // namespace quantd
