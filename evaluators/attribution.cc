#include "evaluators/attribution.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/bit_suggestion.h"
#include "evaluators/cluster_ratio.h"
#include "evaluators/logit_divergence.h"
#include "evaluators/perplexity.h"
#include "evaluators/scorer.h"
#include "evaluators/token_statistics.h"
#include "evaluators/unit_exchange.h"

namespace quantd {
namespace {

// Rows that one thread compares at a time; only a matter of speed.
constexpr int64_t kRowsPerPiece = 4;

// Logits of so many rows are held at once.
int64_t RowsAtOnce(const ModelDescription& model) {
  return ScoredRowsAtOnce(model.vocabulary_size);
}

// Windows that run together: the baseline's logits of all of them are to be
// made once, not again for every experiment.
int64_t BatchWindows(const ModelDescription& model, int64_t wanted,
                     int64_t window_tokens) {
  return std::clamp<int64_t>(
      RowsAtOnce(model) / std::max<int64_t>(1, window_tokens), 1,
      std::max<int64_t>(1, wanted));
}

// One number by window: of what a network adds, or loses by an exchange.
struct WindowSeries {
  std::vector<WindowSums> nll, kl;

  explicit WindowSeries(size_t windows) : nll(windows), kl(windows) {}
};

// What one unit's two experiments gave.
struct UnitSeries {
  WindowSeries alone, restored, saved;

  explicit UnitSeries(size_t windows)
      : alone(windows), restored(windows), saved(windows) {}
};

// Consecutive requests that run together, every row that predicts something.
struct WindowBatch {
  size_t first = 0, last = 0;  // requests
  std::vector<int32_t> tokens;
  std::vector<int64_t> lengths;
  // One a target, in order: its row, its token and its request.
  std::vector<int64_t> rows;
  std::vector<int32_t> targets;
  std::vector<size_t> windows;
};

WindowBatch BatchOf(absl::Span<const ScoreRequest> requests, size_t first,
                    size_t count) {
  WindowBatch batch;
  batch.first = first;
  batch.last = std::min(requests.size(), first + count);
  for (size_t w = first; w < batch.last; ++w) {
    const ScoreRequest& request = requests[w];
    // The last target is only predicted.
    const int64_t length = request.first_target + request.target_count - 1;
    const int64_t begin = static_cast<int64_t>(batch.tokens.size());
    batch.tokens.insert(batch.tokens.end(), request.tokens.begin(),
                        request.tokens.begin() + length);
    batch.lengths.push_back(length);
    for (int t = 0; t < request.target_count; ++t) {
      const int64_t position = request.first_target + t;
      batch.rows.push_back(begin + position - 1);
      batch.targets.push_back(request.tokens[static_cast<size_t>(position)]);
      batch.windows.push_back(w);
    }
  }
  return batch;
}

// Compares final hidden states with the baseline's, target by target.
class HiddenComparison {
 public:
  // All outlive the object.
  HiddenComparison(const Model& baseline, const WindowBatch& batch,
                   const Tensor& hidden)
      : baseline_(baseline),
        batch_(batch),
        hidden_(hidden),
        rows_at_once_(static_cast<size_t>(RowsAtOnce(baseline.description()))) {
  }

  absl::StatusOr<std::vector<TargetDivergence>> Compare(const Tensor& hidden,
                                                        ExecutionContext& ctx) {
    std::vector<TargetDivergence> results(batch_.rows.size());
    for (size_t first = 0; first < results.size(); first += rows_at_once_) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      const size_t count = std::min(rows_at_once_, results.size() - first);
      ASSIGN_OR_RETURN(const Tensor q, Logits(hidden, first, count, ctx));
      // The other chunks' are made again for every experiment.
      if (kept_.size() == 0 || kept_first_ != first) {
        ASSIGN_OR_RETURN(kept_, Logits(hidden_, first, count, ctx));
        kept_first_ = first;
      }
      const int64_t rows = static_cast<int64_t>(count);
      const auto row_of = [](const Tensor& logits, int64_t row) {
        return absl::Span<const float>(logits.row(row),
                                       static_cast<size_t>(logits.cols()));
      };
      ctx.device().pool().ParallelFor(
          (rows + kRowsPerPiece - 1) / kRowsPerPiece, [&](int64_t piece) {
            thread_local DivergenceScratch scratch;
            const int64_t end = std::min(rows, (piece + 1) * kRowsPerPiece);
            for (int64_t row = piece * kRowsPerPiece; row < end; ++row) {
              const size_t t = first + static_cast<size_t>(row);
              results[t] = CompareLogits(row_of(kept_, row), row_of(q, row),
                                         batch_.targets[t], &scratch);
            }
          });
    }
    return results;
  }

 private:
  // Of targets [first, first + count). Heads are equal (unit_exchange.h).
  absl::StatusOr<Tensor> Logits(const Tensor& hidden, size_t first,
                                size_t count, ExecutionContext& ctx) const {
    Tensor gathered =
        Tensor::Uninitialized({static_cast<int64_t>(count), hidden.cols()});
    for (size_t i = 0; i < count; ++i) {
      std::copy_n(hidden.row(batch_.rows[first + i]), hidden.cols(),
                  gathered.row(static_cast<int64_t>(i)));
    }
    return baseline_.Logits(gathered, ctx);
  }

  const Model& baseline_;
  const WindowBatch& batch_;
  const Tensor& hidden_;
  const size_t rows_at_once_;
  Tensor kept_;
  size_t kept_first_ = 0;
};

double DeltaNll(const TargetDivergence& target) {
  return target.candidate_nll - target.baseline_nll;
}

class AttributionRun {
 public:
  AttributionRun(const Model& baseline, const ConventionWindows& windows,
                 absl::Span<const ScoreRequest> requests, UnitExchange exchange)
      : baseline_(baseline),
        windows_(windows),
        requests_(requests),
        exchange_(std::move(exchange)),
        baseline_nll_(requests.size()),
        whole_(requests.size()),
        residual_(requests.size()),
        units_(exchange_.units().size(), UnitSeries(requests.size())) {}

  // Passes through a block that a batch costs, heads aside.
  double BatchSteps() const {
    double steps = 2.0 * exchange_.block_count();
    for (const ExchangeUnit& unit : exchange_.units()) {
      steps += 2.0 * (exchange_.block_count() - unit.block);
    }
    return steps;
  }

  absl::Status RunBatch(const WindowBatch& batch,
                        absl::FunctionRef<void(double steps)> on_steps,
                        ExecutionContext& ctx) {
    const auto sequences = SequenceBatch::Ragged(batch.lengths);
    ASSIGN_OR_RETURN(const Tensor embedded,
                     baseline_.Embed(batch.tokens, sequences, ctx));
    ASSIGN_OR_RETURN(const std::vector<Tensor> original,
                     exchange_.RunBaseline(embedded, sequences, ctx));
    ASSIGN_OR_RETURN(const std::vector<Tensor> artifact,
                     exchange_.RunTarget(embedded, sequences, ctx));
    HiddenComparison comparison(baseline_, batch, original.back());
    ASSIGN_OR_RETURN(const std::vector<TargetDivergence> whole,
                     comparison.Compare(artifact.back(), ctx));
    std::vector<double> nll_residual, kl_residual;
    for (size_t t = 0; t < whole.size(); ++t) {
      const size_t w = batch.windows[t];
      baseline_nll_[w].Add(whole[t].baseline_nll);
      whole_.nll[w].Add(DeltaNll(whole[t]));
      whole_.kl[w].Add(whole[t].kl);
      nll_residual.push_back(-DeltaNll(whole[t]));
      kl_residual.push_back(-whole[t].kl);
    }
    on_steps(2.0 * exchange_.block_count());
    for (size_t u = 0; u < units_.size(); ++u) {
      const ExchangeUnit& unit = exchange_.units()[u];
      UnitSeries& series = units_[u];
      ASSIGN_OR_RETURN(const Tensor alone,
                       exchange_.RunAlone(unit, original, sequences, ctx));
      ASSIGN_OR_RETURN(const std::vector<TargetDivergence> added,
                       comparison.Compare(alone, ctx));
      on_steps(exchange_.block_count() - unit.block);
      ASSIGN_OR_RETURN(const Tensor restored,
                       exchange_.RunRestored(unit, artifact, sequences, ctx));
      ASSIGN_OR_RETURN(const std::vector<TargetDivergence> left,
                       comparison.Compare(restored, ctx));
      on_steps(exchange_.block_count() - unit.block);
      for (size_t t = 0; t < whole.size(); ++t) {
        const size_t w = batch.windows[t];
        series.alone.nll[w].Add(DeltaNll(added[t]));
        series.alone.kl[w].Add(added[t].kl);
        series.restored.nll[w].Add(DeltaNll(left[t]));
        series.restored.kl[w].Add(left[t].kl);
        series.saved.nll[w].Add(DeltaNll(whole[t]) - DeltaNll(left[t]));
        series.saved.kl[w].Add(whole[t].kl - left[t].kl);
        nll_residual[t] += DeltaNll(added[t]);
        kl_residual[t] += added[t].kl;
      }
    }
    for (size_t t = 0; t < whole.size(); ++t) {
      residual_.nll[batch.windows[t]].Add(nll_residual[t]);
      residual_.kl[batch.windows[t]].Add(kl_residual[t]);
    }
    return absl::OkStatus();
  }

  // The compressed units, without their KL.
  std::vector<UnitCost> Costs(const AttributionOptions& options) const {
    std::vector<UnitCost> costs;
    for (const ExchangeUnit& unit : exchange_.units()) {
      if (!unit.compressed) continue;
      UnitCost& cost = costs.emplace_back();
      cost.name = unit.name;
      cost.weights = unit.weights;
      cost.bits_per_weight = unit.bits_per_weight;
      if (options.bit_changes) cost.changes = options.bit_changes(unit.name);
    }
    return costs;
  }

  absl::StatusOr<v1::AttributionReport> Report(
      const AttributionOptions& options) const {
    v1::AttributionReport report;
    report.set_metric(absl::StrCat("attribution/", windows_.name()));
    *report.mutable_tag() = windows_.tag();
    report.set_window_count(requests_.size());
    uint64_t tokens = 0;
    for (const WindowSums& window : baseline_nll_) tokens += window.count;
    report.set_scored_tokens(tokens);
    report.set_granularity(options.granularity);
    report.set_baseline_nll(NllOf(baseline_nll_).mean());
    *report.mutable_delta_nll() = NllOf(whole_.nll);
    *report.mutable_kl() = KlOf(whole_.kl);
    std::vector<UnitCost> costs = Costs(options);
    size_t compressed = 0;
    for (size_t u = 0; u < units_.size(); ++u) {
      const ExchangeUnit& unit = exchange_.units()[u];
      v1::UnitAttribution& out = *report.add_units();
      FillUnit(unit, units_[u], &out);
      for (const double mean :
           {out.alone_delta_nll().mean(), out.alone_kl().mean(),
            out.restored_delta_nll().mean(), out.restored_kl().mean()}) {
        RETURN_IF_ERROR(CheckNumber(mean, unit.name));
      }
      if (unit.compressed) costs[compressed++].kl = out.alone_kl().mean();
    }
    RETURN_IF_ERROR(CheckNumber(report.baseline_nll(), "the baseline"));
    RETURN_IF_ERROR(CheckNumber(report.delta_nll().mean(), "the target"));
    RETURN_IF_ERROR(CheckNumber(report.kl().mean(), "the target"));
    *report.mutable_nll_additivity_residual() = NllOf(residual_.nll);
    *report.mutable_kl_additivity_residual() = KlOf(residual_.kl);
    if (!costs.empty()) {
      ASSIGN_OR_RETURN(*report.mutable_suggestion(),
                       SuggestBits(costs, options.target_bits));
    }
    return report;
  }

 private:
  static absl::Status CheckNumber(double value, absl::string_view of) {
    if (std::isfinite(value)) return absl::OkStatus();
    return absl::InternalError(
        absl::StrCat(of, ": a likelihood or divergence is NaN or infinite"));
  }

  // Likelihoods are weighted as the convention says, KLs are not, as in a
  // divergence report.
  v1::Estimate NllOf(const std::vector<WindowSums>& sums) const {
    return EstimateWeightedMean(windows_.clusters(),
                                ClusterSums(windows_.clusters(), sums));
  }

  v1::Estimate KlOf(const std::vector<WindowSums>& sums) const {
    return EstimateMean(ClusterSums(windows_.clusters(), sums));
  }

  std::vector<double> ClusterTotals(const std::vector<WindowSums>& sums,
                                    bool weighted) const {
    const absl::Span<const TextCluster> clusters = windows_.clusters();
    const std::vector<WindowSums> by_cluster = ClusterSums(clusters, sums);
    std::vector<double> totals;
    for (size_t c = 0; c < clusters.size(); ++c) {
      const WindowSums& own = by_cluster[c];
      totals.push_back(!weighted ? own.sum
                       : own.count == 0
                           ? 0
                           : own.sum / static_cast<double>(own.count) *
                                 static_cast<double>(clusters[c].weight));
    }
    return totals;
  }

  // Part of the whole; no part of what is nothing or a gain.
  template <typename Set>
  void SetShare(const std::vector<WindowSums>& part,
                const std::vector<WindowSums>& whole, bool weighted,
                Set set) const {
    const std::vector<double> numerators = ClusterTotals(part, weighted);
    const std::vector<double> denominators = ClusterTotals(whole, weighted);
    double sum = 0;
    for (const double value : denominators) sum += value;
    if (!(sum > 0)) return;
    const ClusterRatio ratio = RatioOfSums(numerators, denominators);
    set(ratio.value, ratio.error);
  }

  void FillUnit(const ExchangeUnit& unit, const UnitSeries& series,
                v1::UnitAttribution* out) const {
    out->set_name(unit.name);
    out->set_weights(unit.weights);
    out->set_bits_per_weight(unit.bits_per_weight);
    out->set_compressed(unit.compressed);
    *out->mutable_alone_delta_nll() = NllOf(series.alone.nll);
    *out->mutable_alone_kl() = KlOf(series.alone.kl);
    *out->mutable_restored_delta_nll() = NllOf(series.restored.nll);
    *out->mutable_restored_kl() = KlOf(series.restored.kl);
    *out->mutable_saved_nll() = NllOf(series.saved.nll);
    *out->mutable_saved_kl() = KlOf(series.saved.kl);
    SetShare(series.alone.nll, whole_.nll, /*weighted=*/true,
             [&](double share, double error) {
               out->set_alone_nll_share(share);
               out->set_alone_nll_share_error(error);
             });
    SetShare(series.alone.kl, whole_.kl, /*weighted=*/false,
             [&](double share, double error) {
               out->set_alone_kl_share(share);
               out->set_alone_kl_share_error(error);
             });
    SetShare(series.saved.kl, whole_.kl, /*weighted=*/false,
             [&](double share, double error) {
               out->set_saved_kl_share(share);
               out->set_saved_kl_share_error(error);
             });
  }

  const Model& baseline_;
  const ConventionWindows& windows_;
  const absl::Span<const ScoreRequest> requests_;
  UnitExchange exchange_;
  std::vector<WindowSums> baseline_nll_;
  WindowSeries whole_;
  WindowSeries residual_;  // sum of units less the whole
  std::vector<UnitSeries> units_;
};

}  // namespace

absl::StatusOr<ConventionWindows> ParseAttribution(
    absl::string_view parameters, const EvaluatorOptions& options) {
  return ConventionWindows::Parse("attribution", parameters, options);
}

absl::StatusOr<v1::AttributionReport> MeasureAttribution(
    const Model& target, const Model& baseline,
    const ConventionWindows& windows, absl::Span<const ScoreRequest> requests,
    const AttributionOptions& options,
    absl::FunctionRef<void(double part)> on_progress, ExecutionContext& ctx) {
  ASSIGN_OR_RETURN(
      UnitExchange exchange,
      UnitExchange::Load(target, baseline, options.granularity, ctx));
  AttributionRun run(baseline, windows, requests, std::move(exchange));
  RETURN_IF_ERROR(CheckTargetBits(run.Costs(options), options.target_bits));
  size_t longest = 0;
  for (const ScoreRequest& request : requests) {
    longest = std::max(longest, request.tokens.size());
  }
  const size_t batch_windows = static_cast<size_t>(
      BatchWindows(baseline.description(), options.batch_windows,
                   static_cast<int64_t>(longest)));
  const double batches = std::ceil(static_cast<double>(requests.size()) /
                                   static_cast<double>(batch_windows));
  const double steps = batches * run.BatchSteps();
  double done = 0;
  for (size_t first = 0; first < requests.size(); first += batch_windows) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    RETURN_IF_ERROR(run.RunBatch(
        BatchOf(requests, first, batch_windows),
        [&](double more) { on_progress((done += more) / steps); }, ctx));
  }
  return run.Report(options);
}

RunForecast ForecastAttribution(const ModelFootprint& footprint,
                                const ScoringShape& shape,
                                v1::AttributionGranularity granularity) {
  const ModelDescription& model = footprint.description;
  ScoringShape batches = shape;
  batches.batch_windows =
      BatchWindows(model, shape.batch_windows, shape.window_tokens);
  RunForecast forecast =
      ForecastScoring(footprint, batches, ScoringOrder::kBatchMajor);
  const int64_t windows = std::min(batches.batch_windows, shape.windows);
  const int64_t blocks = model.blocks;
  forecast.parts.push_back(
      {"activations between all blocks of both models",
       static_cast<uint64_t>(2 * (blocks + 1) * windows * shape.window_tokens *
                             model.hidden_size) *
           sizeof(float)});
  // Of 2 N passes through a block, N (N + 1) more for each unit of a block.
  const double units_per_block =
      granularity == v1::ATTRIBUTE_LAYERS
          ? static_cast<double>(ModelLinears(model).size()) /
                static_cast<double>(std::max<int64_t>(1, blocks))
          : 1;
  forecast.work.product_flops *=
      1 + units_per_block * static_cast<double>(blocks + 1) / 2;
  const double units = units_per_block * static_cast<double>(blocks);
  forecast.parts.push_back(
      {"sums of all windows and units",
       static_cast<uint64_t>(units * 6 * static_cast<double>(shape.windows)) *
           sizeof(WindowSums)});
  return forecast;
}

std::vector<v1::MetricInfo> AttributionMetrics() {
  return ConventionMetrics(
      "attribution",
      "Which blocks or layers cause the loss: the original with one of the "
      "artifact's, and the artifact with one of the original's; shares of NLL "
      "and KL, additivity, a suggestion of bits. ",
      "Leave-one-out and one-at-a-time exchange; KL as in divergence/");
}

}  // namespace quantd
