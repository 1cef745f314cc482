#include "client/sweep_json.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/evaluation_json.h"

namespace quantd {
namespace {

// The measured costs by their names.
Json EfficiencyToJson(const v1::EfficiencyReport& report) {
  Json json = {{"repetitions", report.repetitions()}};
  for (const SweepCostRow& cost : SweepCosts()) {
    if (cost.measured == nullptr) continue;
    const std::optional<CostValue> value = cost.measured(report);
    if (!value.has_value()) continue;
    json[cost.name] = value->value;
    if (value->repetitions > 0) {
      json[absl::StrCat(cost.name, "_error")] = value->error;
    }
  }
  json["peak_is_with_original"] = report.has_baseline();
  return json;
}

Json RowToJson(const SweepRow& row) {
  Json json = {{"point", row.label},
               {"original", !row.point.has_value()},
               {"complete", row.failure.empty()}};
  if (!row.failure.empty()) json["failure"] = row.failure;
  if (row.point.has_value()) {
    json["method"] = row.point->method;
    json["set"] = row.point->set;
    json["quantize_job"] = row.quantize_job;
    json["artifact"] = row.artifact;
  }
  json["evaluate_job"] = row.evaluate_job;
  json["evaluation"] = row.evaluation;
  json["bits_per_weight"] = row.bits_per_weight;
  json["size_bytes"] = row.size_bytes;
  if (row.quantize_seconds.has_value()) {
    json["quantize_seconds"] = *row.quantize_seconds;
    json["quantize_peak_memory_bytes"] = *row.quantize_peak_memory_bytes;
  }
  if (!row.scores.has_value()) return json;
  json["evaluate_seconds"] = row.scores->wall_seconds();
  json["evaluate_peak_memory_bytes"] = row.scores->peak_memory_bytes();
  for (const v1::EfficiencyReport& report : row.scores->efficiencies()) {
    json["efficiencies"][report.metric()] = EfficiencyToJson(report);
  }
  Json& divergences = json["divergences"] = Json::object();
  for (const v1::DivergenceReport& report : row.scores->divergences()) {
    divergences[report.metric()] = {
        {"mean_kl", report.kl().mean().mean()},
        {"mean_kl_error", report.kl().mean().error_clustered()},
        {"top1_agreement", report.top1_agreement().mean()}};
  }
  Json& perplexities = json["perplexities"] = Json::object();
  for (const v1::PerplexityReport& report : row.scores->perplexities()) {
    perplexities[report.tag().convention()] = {
        {"perplexity", report.perplexity()},
        {"perplexity_error_iid", report.error_iid()},
        {"perplexity_error_clustered", report.error_clustered()}};
  }
  Json& tasks = json["tasks"] = Json::object();
  for (const v1::TaskReport& report : row.scores->tasks()) {
    if (report.metrics().empty()) continue;
    tasks[report.tag().task()] = {
        {"metric", report.metrics(0).name()},
        {"value", report.metrics(0).value()},
        {"error", report.metrics(0).error_clustered()}};
  }
  if (row.comparison.has_value()) {
    for (const v1::MetricComparison& metric : row.comparison->metrics()) {
      if (metric.metric() == SweepLoss::kLnPerplexity) {
        Json& own = perplexities[metric.task()];
        own["ln_ratio"] = metric.loss();
        own["ln_ratio_error"] = metric.loss_error();
      } else if (metric.in_family()) {
        tasks[metric.task()]["comparison"] = MessageToJson(metric);
      }
    }
  }
  json["report"] = EvaluationToJson(*row.scores);
  return json;
}

Json FrontToJson(const SweepResult& result, const SweepFront& front) {
  Json json = {{"cost", CostRowOf(front.cost.kind).name},
               {"task", front.loss.task},
               {"metric", front.loss.metric}};
  if (!front.cost.metric.empty()) json["cost_metric"] = front.cost.metric;
  Json& points = json["points"] = Json::array();
  for (size_t i = 0; i < front.standings.size(); ++i) {
    if (!front.standings[i].has_value()) continue;
    const SweepRow& row = result.rows[i];
    const auto loss = LossOf(row, front.loss);
    const auto cost = CostOf(row, front.cost);
    Json point = {{"point", row.label},
                  {"cost", cost->value},
                  {"loss", loss->mean},
                  {"loss_error", loss->error},
                  {"standing", StandingName(front.standings[i]->standing)}};
    if (cost->repetitions > 0) point["cost_error"] = cost->error;
    if (const auto better = front.standings[i]->dominated_by) {
      point["dominated_by"] = result.rows[*better].label;
    }
    points.push_back(std::move(point));
  }
  return json;
}

}  // namespace

Json SweepToJson(const SweepResult& result) {
  Json json = {{"format", kSweepFormat},
               {"name", result.name},
               {"model", result.model},
               {"command", result.command},
               {"margin", result.terms.margin()},
               {"perplexity_margin", result.terms.perplexity_margin()},
               {"alpha", result.terms.alpha()},
               {"two_sided", result.terms.two_sided()},
               {"cost_margin", result.ranking.cost_margin},
               {"family_size", result.family_size}};
  Json& rows = json["rows"] = Json::array();
  for (const SweepRow& row : result.rows) rows.push_back(RowToJson(row));
  Json& fronts = json["fronts"] = Json::array();
  for (const SweepFront& front : result.fronts) {
    fronts.push_back(FrontToJson(result, front));
  }
  return json;
}

}  // namespace quantd
