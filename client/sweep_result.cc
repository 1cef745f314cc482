#include "client/sweep_result.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/multiplicity.h"
#include "base/status_macros.h"
#include "proto/field_rules.h"

namespace quantd {
namespace {

bool HasSucceeded(const std::optional<v1::Job>& job) {
  return job.has_value() && job->state() == v1::SUCCEEDED;
}

// Adds what the row's jobs made. An error is the row's failure.
absl::Status FetchPoint(Client& client, const SweepEntry& entry,
                        SweepRow* row) {
  if (!HasSucceeded(entry.quantize)) {
    return absl::AbortedError(entry.failure());
  }
  const v1::JobResult& made = entry.quantize->result();
  ASSIGN_OR_RETURN(const v1::Artifact artifact,
                   client.GetArtifact(made.artifact()));
  row->artifact = artifact.name();
  row->bits_per_weight = artifact.bits_per_weight();
  row->size_bytes = artifact.size_bytes();
  row->quantize_seconds = made.wall_seconds();
  row->quantize_peak_memory_bytes = made.peak_memory_bytes();
  return absl::OkStatus();
}

absl::Status FetchOriginal(Client& client, const SweepDefinition& definition,
                           SweepRow* row) {
  ASSIGN_OR_RETURN(const v1::Model model, client.GetModel(definition.model));
  row->size_bytes = model.size_bytes();
  if (model.parameters() > 0) {
    row->bits_per_weight = 8.0 * static_cast<double>(model.size_bytes()) /
                           static_cast<double>(model.parameters());
  }
  return absl::OkStatus();
}

absl::Status FetchScores(Client& client, const SweepEntry& entry,
                         SweepRow* row) {
  if (!HasSucceeded(entry.evaluate)) {
    return absl::AbortedError(entry.failure());
  }
  ASSIGN_OR_RETURN(row->scores,
                   client.GetEvaluation(entry.evaluate->result().evaluation()));
  row->evaluation = row->scores->name();
  return absl::OkStatus();
}

// Failures of the connection end the command; others are the row's.
bool IsOfServer(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsCancelled(status) ||
         absl::IsDeadlineExceeded(status);
}

absl::Status KeepFailure(const absl::Status& status, SweepRow* row) {
  if (status.ok() || IsOfServer(status)) return status;
  if (row->failure.empty()) row->failure = std::string(status.message());
  return absl::OkStatus();
}

// Comparisons of points with each other, asked for once.
class PairedComparisons {
 public:
  PairedComparisons(Client& client, const std::vector<SweepRow>& rows,
                    const v1::CompareEvaluationsRequest& terms)
      : client_(client), rows_(rows), terms_(terms) {}

  // Whether `worse` has a loss against `better` by the interval.
  absl::StatusOr<bool> IsBetter(size_t better, size_t worse,
                                const SweepLoss& loss) {
    const auto key = std::make_pair(better, worse);
    auto known = known_.find(key);
    if (known == known_.end()) {
      v1::CompareEvaluationsRequest request = terms_;
      request.set_baseline(rows_[better].evaluation);
      request.set_candidate(rows_[worse].evaluation);
      ASSIGN_OR_RETURN(v1::Comparison comparison,
                       Annotate(client_.CompareEvaluations(std::move(request)),
                                "comparing \"", rows_[worse].label,
                                "\" with \"", rows_[better].label, "\""));
      known = known_.emplace(key, std::move(comparison)).first;
    }
    const v1::MetricComparison* row =
        FindComparison(known->second, loss.task, loss.metric);
    return row != nullptr && row->low() > 0;
  }

 private:
  Client& client_;
  const std::vector<SweepRow>& rows_;
  const v1::CompareEvaluationsRequest& terms_;
  std::map<std::pair<size_t, size_t>, v1::Comparison> known_;
};

// What the rows can be ranked by, in the order of their reports.
std::vector<SweepLoss> LossesOf(const std::vector<SweepRow>& rows) {
  std::vector<SweepLoss> losses;
  const auto add = [&](const std::string& task, const std::string& metric) {
    const bool is_known =
        std::any_of(losses.begin(), losses.end(), [&](const SweepLoss& loss) {
          return loss.task == task && loss.metric == metric;
        });
    if (!is_known) losses.push_back({task, metric});
  };
  for (const SweepRow& row : rows) {
    if (!row.scores.has_value() || !row.point.has_value()) continue;
    for (const v1::DivergenceReport& report : row.scores->divergences()) {
      add(report.metric(), SweepLoss::kMeanKl);
    }
  }
  for (const SweepRow& row : rows) {
    if (!row.comparison.has_value()) continue;
    for (const v1::MetricComparison& metric : row.comparison->metrics()) {
      if (metric.in_family() || metric.metric() == SweepLoss::kLnPerplexity) {
        add(metric.task(), metric.metric());
      }
    }
  }
  return losses;
}

// Equal scores leave differences of rounding, which must not put one point
// before the other. Scores of a million items differ by far more.
double WithoutRounding(double loss) {
  constexpr double kSteps = 1e12;
  return std::round(loss * kSteps) / kSteps;
}

// What `loss` is ranked against.
std::vector<SweepCost> CostsFor(const SweepLoss& loss,
                                const SweepRanking& ranking,
                                const std::vector<std::string>& efficiencies,
                                bool any_divergence, bool any_ratio) {
  std::vector<SweepCostKind> kinds = ranking.costs;
  if (kinds.empty()) {
    kinds = {SweepCostKind::kBitsPerWeight};
    if (loss.is_divergence()) kinds.push_back(SweepCostKind::kSizeBytes);
    if (loss.is_divergence() || !any_divergence) {
      kinds.insert(kinds.end(), {any_ratio ? SweepCostKind::kPromptRatio
                                           : SweepCostKind::kPromptSpeed,
                                 any_ratio ? SweepCostKind::kGenerationRatio
                                           : SweepCostKind::kGenerationSpeed,
                                 SweepCostKind::kLoadedBytes});
    }
  }
  std::vector<SweepCost> costs;
  for (const SweepCostKind kind : kinds) {
    if (CostRowOf(kind).measured == nullptr) {
      costs.push_back({kind, ""});
      continue;
    }
    for (const std::string& metric : efficiencies) {
      costs.push_back({kind, metric});
    }
  }
  return costs;
}

absl::StatusOr<SweepFront> RankBy(const std::vector<SweepRow>& rows,
                                  const SweepCost& cost, const SweepLoss& loss,
                                  const CostTerms& terms,
                                  PairedComparisons& paired) {
  SweepFront front;
  front.cost = cost;
  front.loss = loss;
  front.standings.resize(rows.size());
  std::vector<size_t> ranked;
  std::vector<ParetoPoint> points;
  std::vector<MeanWithError> values;
  std::vector<CostValue> costs;
  const double sign = CostRowOf(cost.kind).more_is_better ? -1 : 1;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto value = LossOf(rows[i], loss);
    const auto own = CostOf(rows[i], cost);
    if (!rows[i].point.has_value() || !value.has_value() || !own.has_value()) {
      continue;
    }
    ranked.push_back(i);
    points.push_back({sign * own->value, WithoutRounding(value->mean)});
    values.push_back(*value);
    costs.push_back(*own);
  }
  ASSIGN_OR_RETURN(
      const std::vector<ParetoStanding> standings,
      Annotate(StandingsOf(
                   points,
                   [&](size_t a, size_t b) {
                     return CostsAtMost(cost.kind, costs[a], costs[b], terms);
                   },
                   [&](size_t better, size_t worse) -> absl::StatusOr<bool> {
                     return loss.is_divergence()
                                ? IsLower(values[better], values[worse],
                                          terms.alpha)
                                : paired.IsBetter(ranked[better], ranked[worse],
                                                  loss);
                   }),
               loss.task, " ", loss.metric));
  for (size_t i = 0; i < ranked.size(); ++i) {
    ParetoStanding standing = standings[i];
    if (standing.dominated_by.has_value()) {
      standing.dominated_by = ranked[*standing.dominated_by];
    }
    front.standings[ranked[i]] = standing;
  }
  return front;
}

absl::Status Rank(Client& client, SweepResult* result) {
  PairedComparisons paired(client, result->rows, result->terms);
  const CostTerms terms = {result->ranking.cost_margin, result->terms.alpha()};
  const std::vector<SweepLoss> losses = LossesOf(result->rows);
  const std::vector<std::string> efficiencies = EfficienciesOf(result->rows);
  const bool any_divergence =
      std::any_of(losses.begin(), losses.end(),
                  [](const SweepLoss& loss) { return loss.is_divergence(); });
  bool any_ratio = false;
  for (const SweepRow& row : result->rows) {
    if (!row.scores.has_value()) continue;
    for (const v1::EfficiencyReport& report : row.scores->efficiencies()) {
      any_ratio = any_ratio || report.has_generation_ratio();
    }
  }
  for (const SweepLoss& loss : losses) {
    for (const SweepCost& cost : CostsFor(loss, result->ranking, efficiencies,
                                          any_divergence, any_ratio)) {
      ASSIGN_OR_RETURN(SweepFront front,
                       RankBy(result->rows, cost, loss, terms, paired));
      result->fronts.push_back(std::move(front));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> EfficienciesOf(const std::vector<SweepRow>& rows) {
  std::vector<std::string> metrics;
  for (const SweepRow& row : rows) {
    if (!row.scores.has_value()) continue;
    for (const v1::EfficiencyReport& report : row.scores->efficiencies()) {
      if (std::find(metrics.begin(), metrics.end(), report.metric()) ==
          metrics.end()) {
        metrics.push_back(report.metric());
      }
    }
  }
  return metrics;
}

std::optional<CostValue> CostOf(const SweepRow& row, const SweepCost& cost) {
  const SweepCostRow& info = CostRowOf(cost.kind);
  if (info.measured == nullptr) {
    return CostValue{cost.kind == SweepCostKind::kSizeBytes
                         ? static_cast<double>(row.size_bytes)
                         : row.bits_per_weight,
                     0, 0};
  }
  if (!row.scores.has_value()) return std::nullopt;
  const v1::EfficiencyReport* report = FindEfficiency(*row.scores, cost.metric);
  if (report == nullptr) return std::nullopt;
  return info.measured(*report);
}

const v1::MetricComparison* FindComparison(const v1::Comparison& comparison,
                                           absl::string_view task,
                                           absl::string_view metric) {
  for (const v1::MetricComparison& row : comparison.metrics()) {
    if (row.task() == task && row.metric() == metric) return &row;
  }
  return nullptr;
}

std::optional<MeanWithError> LossOf(const SweepRow& row,
                                    const SweepLoss& loss) {
  if (loss.is_divergence()) {
    if (!row.scores.has_value()) return std::nullopt;
    for (const v1::DivergenceReport& report : row.scores->divergences()) {
      if (report.metric() != loss.task) continue;
      const v1::Estimate& kl = report.kl().mean();
      return MeanWithError{kl.mean(), kl.error_clustered()};
    }
    return std::nullopt;
  }
  if (!row.comparison.has_value()) return std::nullopt;
  const v1::MetricComparison* found =
      FindComparison(*row.comparison, loss.task, loss.metric);
  if (found == nullptr) return std::nullopt;
  return MeanWithError{found->loss(), found->loss_error()};
}

absl::StatusOr<size_t> AdjustOverSweep(double alpha,
                                       std::vector<SweepRow>* rows) {
  std::vector<v1::MetricComparison*> family;
  std::vector<double> p_values;
  for (SweepRow& row : *rows) {
    if (!row.comparison.has_value()) continue;
    for (v1::MetricComparison& metric : *row.comparison->mutable_metrics()) {
      metric.set_adjusted_p_value(0);
      if (metric.metric() == SweepLoss::kLnPerplexity) {
        metric.set_in_family(false);
      }
      if (!metric.in_family()) continue;
      family.push_back(&metric);
      p_values.push_back(metric.p_value());
    }
  }
  ASSIGN_OR_RETURN(const std::vector<double> adjusted, HolmAdjusted(p_values));
  for (size_t i = 0; i < family.size(); ++i) {
    v1::MetricComparison& row = *family[i];
    row.set_adjusted_p_value(adjusted[i]);
    if (row.verdict() != v1::WORSE || adjusted[i] <= 2 * alpha) continue;
    row.set_verdict(v1::UNDECIDED);
    // ln p falls about in proportion to the items while the loss stays.
    const double more = std::log(adjusted[i] / (2 * alpha)) *
                        static_cast<double>(row.item_count());
    row.set_items_needed(
        std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(more))));
  }
  return family.size();
}

absl::StatusOr<SweepResult> CollectSweep(Client& client,
                                         const SweepDefinition& definition,
                                         const std::vector<SweepEntry>& entries,
                                         v1::CompareEvaluationsRequest terms,
                                         SweepRanking ranking) {
  SweepResult result;
  result.ranking = std::move(ranking);
  result.name = definition.name;
  result.model = definition.model;
  FillDefaults(&terms);
  result.terms = std::move(terms);
  for (const SweepEntry& entry : entries) {
    SweepRow& row = result.rows.emplace_back();
    row.label = entry.label();
    row.point = entry.point;
    row.calibration = definition.calibration;
    if (entry.quantize.has_value()) row.quantize_job = entry.quantize->name();
    if (entry.evaluate.has_value()) row.evaluate_job = entry.evaluate->name();
    RETURN_IF_ERROR(KeepFailure(entry.point.has_value()
                                    ? FetchPoint(client, entry, &row)
                                    : FetchOriginal(client, definition, &row),
                                &row));
    RETURN_IF_ERROR(KeepFailure(FetchScores(client, entry, &row), &row));
    const std::string& original = result.rows[0].evaluation;
    if (!entry.point.has_value() || row.evaluation.empty() ||
        original.empty()) {
      continue;
    }
    v1::CompareEvaluationsRequest request = result.terms;
    request.set_baseline(original);
    request.set_candidate(row.evaluation);
    absl::StatusOr<v1::Comparison> comparison =
        client.CompareEvaluations(std::move(request));
    RETURN_IF_ERROR(KeepFailure(comparison.status(), &row));
    if (comparison.ok()) row.comparison = *std::move(comparison);
  }
  ASSIGN_OR_RETURN(result.family_size,
                   AdjustOverSweep(result.terms.alpha(), &result.rows));
  RETURN_IF_ERROR(Rank(client, &result));
  return result;
}

}  // namespace quantd
