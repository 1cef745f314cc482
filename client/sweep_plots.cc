#include "client/sweep_plots.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/client.h"

namespace quantd {
namespace {

std::string FileNameOf(const SweepFront& front) {
  std::string name = CostRowOf(front.cost.kind).name;
  if (!front.cost.metric.empty()) {
    absl::StrAppend(&name, "-", MetricText(front.cost));
  }
  absl::StrAppend(&name, "-", front.loss.task, "-", front.loss.metric);
  for (char& c : name) {
    if (!absl::ascii_isalnum(c) && c != '-' && c != '.' && c != '_') c = '_';
  }
  return absl::StrCat(name, ".svg");
}

Plot PlotOf(const SweepResult& result, const SweepFront& front) {
  Plot plot;
  const SweepCostRow& cost = CostRowOf(front.cost.kind);
  plot.x.label = cost.axis;
  if (!front.cost.metric.empty()) {
    absl::StrAppend(&plot.x.label, " (", MetricText(front.cost), ")");
  }
  plot.y.label = front.loss.is_divergence() ? "mean KL from the original, nats"
                 : front.loss.is_perplexity()
                     ? "ln(perplexity / original's)"
                     : absl::StrCat("loss of ", front.loss.metric,
                                    " against the original");
  plot.title =
      absl::StrCat(BareId(result.model), ": ", front.loss.task,
                   front.loss.is_divergence() || front.loss.is_perplexity()
                       ? ""
                       : absl::StrCat(" ", front.loss.metric),
                   " by ", cost.title);
  plot.note =
      "bars: one standard error; hollow: significantly worse than a "
      "point of at most its cost";
  if (cost.measured != nullptr && result.ranking.cost_margin > 0) {
    absl::StrAppendFormat(&plot.note, " + %g %%",
                          100 * result.ranking.cost_margin);
  }
  double least = 0, most = 0;
  for (size_t i = 0; i < front.standings.size(); ++i) {
    if (!front.standings[i].has_value()) continue;
    const SweepRow& row = result.rows[i];
    const auto loss = LossOf(row, front.loss);
    const auto paid = CostOf(row, front.cost);
    PlotPoint& point = plot.points.emplace_back();
    point.x = paid->value / cost.unit;
    point.x_error = paid->error / cost.unit;
    point.y = loss->mean;
    point.y_error = loss->error;
    point.label = row.label;
    point.series = row.point->method;
    switch (front.standings[i]->standing) {
      case Standing::kFront:
        point.mark = PointMark::kOnFront;
        break;
      case Standing::kTied:
        point.mark = PointMark::kFilled;
        break;
      case Standing::kDominated:
        point.mark = PointMark::kHollow;
        break;
    }
    least = plot.points.size() == 1 ? loss->mean : std::min(least, loss->mean);
    most = std::max(most, loss->mean);
  }
  // KL falls by a factor of about four a bit: on a linear axis all but the
  // coarsest points lie on the ground. Differences may be below 0.
  constexpr double kWide = 10;
  plot.y.logarithmic =
      front.loss.is_divergence() && least > 0 && most > kWide * least;
  if (!front.loss.is_divergence()) plot.reference_y = 0;
  return plot;
}

}  // namespace

std::vector<NamedPlot> SweepPlots(const SweepResult& result) {
  std::vector<NamedPlot> plots;
  for (const SweepFront& front : result.fronts) {
    Plot plot = PlotOf(result, front);
    if (plot.points.size() < 2) continue;
    plots.push_back({FileNameOf(front), std::move(plot)});
  }
  return plots;
}

}  // namespace quantd
