#include "client/sweep_report.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "client/client.h"
#include "client/human_text.h"
#include "client/svg_plot.h"
#include "client/sweep_json.h"
#include "client/sweep_plots.h"
#include "client/task_text.h"

namespace quantd {
namespace {

// Losses of good points are small: digits that count, not decimals.
std::string WithError(double value, double error) {
  return absl::StrFormat("%.4g +/- %.2g", value, error);
}

// What rounds to 0 has no sign.
std::string LossText(double loss) {
  const std::string text = absl::StrFormat("%.4f", loss);
  return text == "-0.0000" ? "0.0000" : text;
}

bool IsSame(const SweepLoss& a, const SweepLoss& b) {
  return a.task == b.task && a.metric == b.metric;
}

// The fronts of a loss, which are the last columns of its table.
std::vector<const SweepFront*> FrontsOf(const SweepResult& result,
                                        const SweepLoss& loss) {
  std::vector<const SweepFront*> fronts;
  for (const SweepFront& front : result.fronts) {
    if (IsSame(front.loss, loss)) fronts.push_back(&front);
  }
  return fronts;
}

// The losses of the fronts, each once, in order.
std::vector<SweepLoss> RankedLosses(const SweepResult& result) {
  std::vector<SweepLoss> losses;
  for (const SweepFront& front : result.fronts) {
    if (losses.empty() || !IsSame(losses.back(), front.loss)) {
      losses.push_back(front.loss);
    }
  }
  return losses;
}

// A table of a loss: columns of its own, then how rows stand by each cost.
class LossTable {
 public:
  LossTable(const SweepResult& result, const SweepLoss& loss,
            std::vector<std::string> columns)
      : fronts_(FrontsOf(result, loss)),
        own_columns_(columns.size()),
        table_(WithStandings(std::move(columns), EfficienciesOf(result.rows)),
               Alignment()) {}

  // Cells may be fewer than columns: the rest is empty, where a row is not
  // ranked.
  void AddRow(size_t row, std::vector<std::string> cells) {
    cells.resize(own_columns_);
    for (const SweepFront* front : fronts_) {
      const auto& standing = front->standings[row];
      cells.push_back(standing.has_value() ? StandingName(standing->standing)
                                           : "");
    }
    table_.AddRow(std::move(cells));
  }

  Table Take() { return std::move(table_); }

 private:
  std::vector<std::string> WithStandings(
      std::vector<std::string> columns,
      const std::vector<std::string>& efficiencies) const {
    for (const SweepFront* front : fronts_) {
      const SweepCost& cost = front->cost;
      columns.push_back(absl::StrCat("BY ", CostRowOf(cost.kind).heading));
      // Which of several is only said where there are several.
      if (!cost.metric.empty() && efficiencies.size() > 1) {
        absl::StrAppend(&columns.back(), ", ",
                        absl::AsciiStrToUpper(MetricText(cost)));
      }
    }
    return columns;
  }

  std::vector<Align> Alignment() const {
    std::vector<Align> alignment(own_columns_, Align::kRight);
    alignment[0] = Align::kLeft;
    return alignment;
  }

  std::vector<const SweepFront*> fronts_;
  size_t own_columns_;
  Table table_;
};

TitledTable CostTable(const SweepResult& result) {
  Table table(
      {"POINT", "BITS/WEIGHT", "SIZE", "QUANTIZE TIME", "QUANTIZE MEMORY"},
      {Align::kLeft, Align::kRight, Align::kRight, Align::kRight,
       Align::kRight});
  for (const SweepRow& row : result.rows) {
    table.AddRow({row.label, HumanBits(row.bits_per_weight),
                  row.size_bytes > 0 ? HumanBytes(row.size_bytes) : "-",
                  row.quantize_seconds.has_value()
                      ? HumanSeconds(*row.quantize_seconds)
                      : "-",
                  row.quantize_peak_memory_bytes.has_value()
                      ? HumanBytes(*row.quantize_peak_memory_bytes)
                      : "-"});
  }
  return {"Costs", std::move(table)};
}

// Speed and memory as one metric measured them; the ratios to the original only
// where any point has them.
TitledTable EfficiencyTable(const SweepResult& result,
                            const std::string& metric) {
  const auto report_of = [&](const SweepRow& row) {
    return row.scores.has_value() ? FindEfficiency(*row.scores, metric)
                                  : nullptr;
  };
  const bool any_ratio = std::any_of(
      result.rows.begin(), result.rows.end(), [&](const SweepRow& row) {
        return report_of(row) != nullptr && report_of(row)->has_baseline();
      });
  std::vector<std::string> header = {
      "POINT",  "BITS/WEIGHT", "PROMPT, TOKENS/S", "ONE AT A TIME, TOKENS/S",
      "LOADED", "PEAK"};
  if (any_ratio) {
    header.insert(header.end(),
                  {"PROMPT / ORIGINAL'S", "ONE AT A TIME / ORIGINAL'S"});
  }
  std::vector<Align> alignment(header.size(), Align::kRight);
  alignment[0] = Align::kLeft;
  Table table(std::move(header), std::move(alignment));
  for (const SweepRow& row : result.rows) {
    const v1::EfficiencyReport* report = report_of(row);
    if (report == nullptr) continue;
    const auto speed = [&](SweepCostKind kind) {
      const auto value = CostRowOf(kind).measured(*report);
      return value.has_value() ? WithError(value->value, value->error) : "";
    };
    std::vector<std::string> cells = {
        row.label,
        HumanBits(row.bits_per_weight),
        speed(SweepCostKind::kPromptSpeed),
        speed(SweepCostKind::kGenerationSpeed),
        HumanBytes(report->target().loaded_bytes()),
        HumanBytes(report->peak_resident_bytes())};
    if (any_ratio) {
      cells.push_back(speed(SweepCostKind::kPromptRatio));
      cells.push_back(speed(SweepCostKind::kGenerationRatio));
    }
    table.AddRow(std::move(cells));
  }
  return {metric, std::move(table)};
}

TitledTable DivergenceTable(const SweepResult& result, const SweepLoss& loss) {
  LossTable table(result, loss,
                  {"POINT", "BITS/WEIGHT", "MEAN KL, NATS", "SAME TOP"});
  for (size_t i = 0; i < result.rows.size(); ++i) {
    const SweepRow& row = result.rows[i];
    if (!LossOf(row, loss).has_value()) continue;
    for (const v1::DivergenceReport& report : row.scores->divergences()) {
      if (report.metric() != loss.task) continue;
      const v1::Estimate& kl = report.kl().mean();
      table.AddRow(i, {row.label, HumanBits(row.bits_per_weight),
                       WithError(kl.mean(), kl.error_clustered()),
                       absl::StrFormat("%.2f %%",
                                       100 * report.top1_agreement().mean())});
      break;
    }
  }
  return {loss.task, table.Take()};
}

TitledTable PerplexityTable(const SweepResult& result, const SweepLoss& loss) {
  LossTable table(
      result, loss,
      {"POINT", "BITS/WEIGHT", "PERPLEXITY", "LN RATIO", "INTERVAL"});
  for (size_t i = 0; i < result.rows.size(); ++i) {
    const SweepRow& row = result.rows[i];
    if (!row.scores.has_value()) continue;
    const v1::MetricComparison* ratio =
        row.comparison.has_value()
            ? FindComparison(*row.comparison, loss.task, loss.metric)
            : nullptr;
    for (const v1::PerplexityReport& report : row.scores->perplexities()) {
      if (report.tag().convention() != loss.task) continue;
      table.AddRow(
          i, {row.label, HumanBits(row.bits_per_weight),
              HumanNumber(report.perplexity(), report.error_clustered()),
              ratio != nullptr ? WithError(ratio->loss(), ratio->loss_error())
                               : "",
              ratio != nullptr
                  ? absl::StrFormat("%.4g .. %.4g", ratio->low(), ratio->high())
                  : ""});
      break;
    }
  }
  return {loss.task, table.Take()};
}

TitledTable TaskTable(const SweepResult& result, const SweepLoss& loss) {
  LossTable table(result, loss,
                  {"POINT", "BITS/WEIGHT", absl::AsciiStrToUpper(loss.metric),
                   "LOSS", "INTERVAL", "P", "ADJUSTED P", "VERDICT"});
  for (size_t i = 0; i < result.rows.size(); ++i) {
    const SweepRow& row = result.rows[i];
    if (!row.scores.has_value()) continue;
    const v1::MetricComparison* loss_row =
        row.comparison.has_value()
            ? FindComparison(*row.comparison, loss.task, loss.metric)
            : nullptr;
    for (const v1::TaskReport& report : row.scores->tasks()) {
      if (report.tag().task() != loss.task || report.metrics().empty()) {
        continue;
      }
      std::vector<std::string> cells = {
          row.label, HumanBits(row.bits_per_weight),
          HumanNumber(report.metrics(0).value(),
                      report.metrics(0).error_clustered())};
      if (loss_row != nullptr) {
        cells.insert(cells.end(),
                     {LossText(loss_row->loss()),
                      absl::StrCat(LossText(loss_row->low()), " .. ",
                                   LossText(loss_row->high())),
                      absl::StrFormat("%.3g", loss_row->p_value()),
                      absl::StrFormat("%.3g", loss_row->adjusted_p_value()),
                      VerdictText(*loss_row)});
      }
      table.AddRow(i, std::move(cells));
      break;
    }
  }
  return {absl::StrCat(loss.task, ", ", loss.metric), table.Take()};
}

TitledTable FailureTable(const SweepResult& result) {
  Table table({"FAILED POINT", "REASON"});
  for (const SweepRow& row : result.rows) {
    if (!row.failure.empty()) table.AddRow({row.label, row.failure});
  }
  return {"Failures", std::move(table)};
}

// How one point is made again by itself.
std::string PointCommand(const SweepResult& result, const SweepRow& row) {
  std::string command =
      absl::StrCat("quantctl quantize ", ShellQuoted(BareId(result.model)),
                   " --method ", ShellQuoted(row.point->method));
  for (const std::string& assignment : row.point->set) {
    absl::StrAppend(&command, " --set ", ShellQuoted(assignment));
  }
  const v1::Calibration& calibration = row.calibration;
  if (!calibration.dataset().empty()) {
    absl::StrAppend(&command, " --calibration ",
                    ShellQuoted(BareId(calibration.dataset())));
  }
  if (calibration.has_windows()) {
    absl::StrAppend(&command, " --windows ", calibration.windows());
  }
  if (calibration.has_window_tokens()) {
    absl::StrAppend(&command, " --window-tokens ", calibration.window_tokens());
  }
  if (calibration.has_seed()) {
    absl::StrAppend(&command, " --seed ", calibration.seed());
  }
  return absl::StrCat(command, " --name ",
                      ShellQuoted(PointArtifactId(result.name, *row.point)));
}

}  // namespace

std::vector<TitledTable> SweepTables(const SweepResult& result) {
  std::vector<TitledTable> tables = {CostTable(result)};
  for (const std::string& metric : EfficienciesOf(result.rows)) {
    tables.push_back(EfficiencyTable(result, metric));
  }
  for (const SweepLoss& loss : RankedLosses(result)) {
    tables.push_back(loss.is_divergence()   ? DivergenceTable(result, loss)
                     : loss.is_perplexity() ? PerplexityTable(result, loss)
                                            : TaskTable(result, loss));
  }
  tables.push_back(FailureTable(result));
  std::vector<TitledTable> shown;
  for (TitledTable& table : tables) {
    if (!table.table.empty()) shown.push_back(std::move(table));
  }
  return shown;
}

std::string SweepToMarkdown(const SweepResult& result) {
  std::string text =
      absl::StrCat("# Sweep ", result.name, " of ", BareId(result.model),
                   "\n\n    ", result.command, "\n");
  for (const TitledTable& table : SweepTables(result)) {
    absl::StrAppend(&text, "\n## ", table.title, "\n\n",
                    table.table.ToMarkdown());
  }
  const std::vector<NamedPlot> plots = SweepPlots(result);
  if (!plots.empty()) absl::StrAppend(&text, "\n## Fronts\n");
  for (const NamedPlot& plot : plots) {
    absl::StrAppend(&text, "\n![", plot.plot.title, "](", plot.file, ")\n");
  }
  absl::StrAppend(&text, "\n## Points one by one\n\n");
  for (const SweepRow& row : result.rows) {
    if (!row.point.has_value()) continue;
    absl::StrAppend(&text, "    ", PointCommand(result, row), "\n");
  }
  absl::StrAppend(
      &text,
      absl::StrFormat(
          "\n## How to read it\n\n"
          "Errors are standard errors clustered by window, document or group "
          "of items.\n"
          "Losses and ln ratios are paired with the original window by window "
          "and item by\n"
          "item; intervals have level %g. Verdicts hold losses against a "
          "margin of %g.\n"
          "Adjusted p values are Holm's over the %d tests of all points and "
          "tasks.\n\n"
          "A point is on the front (`front`) when no other has at most its "
          "cost and its\n"
          "loss and less of one; `dominated` when one of at most its cost is "
          "better by a\n"
          "significant difference (one-sided, %g, not adjusted for the number "
          "of pairs);\n"
          "`tied` otherwise. Perplexities and tasks of two points are compared "
          "in pairs. Two\n"
          "KLs are compared as if their errors were independent; they are of "
          "the same\n"
          "windows, so a difference is found too rarely, never too often.\n",
          1 - 2 * result.terms.alpha(), result.terms.margin(),
          result.family_size, result.terms.alpha()));
  if (!EfficienciesOf(result.rows).empty()) {
    absl::StrAppend(
        &text,
        absl::StrFormat(
            "\nSpeeds are means of repetitions with their standard errors, on "
            "the machine that\n"
            "ran the sweep, point by point. What else it did then is in them; "
            "in their ratios\n"
            "to the original, which was measured in turns with the point, it "
            "cancels. Loaded is\n"
            "what the process grew by when it read the model; the peak has the "
            "original in it\n"
            "where there are ratios. By a speed or a memory, another point is "
            "of at most the\n"
            "cost when it is worse by less than %g %% of it, of speeds surely "
            "so (one-sided, %g).\n",
            100 * result.ranking.cost_margin, result.terms.alpha()));
  }
  return text;
}

absl::StatusOr<std::vector<std::string>> WriteSweep(
    const SweepResult& result, const std::string& directory) {
  RETURN_IF_ERROR(CreateDirectories(directory));
  std::vector<std::string> paths;
  const auto write = [&](const std::string& file, const std::string& content) {
    paths.push_back((std::filesystem::path(directory) / file).string());
    return WriteFileDurably(paths.back(), content);
  };
  RETURN_IF_ERROR(
      write("sweep.json",
            absl::StrCat(SweepToJson(result).dump(
                             2, ' ', false, Json::error_handler_t::replace),
                         "\n")));
  RETURN_IF_ERROR(write("sweep.md", SweepToMarkdown(result)));
  for (const NamedPlot& plot : SweepPlots(result)) {
    ASSIGN_OR_RETURN(const std::string svg, RenderSvg(plot.plot));
    RETURN_IF_ERROR(write(plot.file, svg));
  }
  return paths;
}

std::string ShellQuoted(const std::string& word) {
  const bool is_plain =
      !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
        return absl::ascii_isalnum(c) ||
               absl::string_view("-_./=,:@%+").find(c) !=
                   absl::string_view::npos;
      });
  if (is_plain) return word;
  std::string quoted = "'";
  for (const char c : word) {
    // A quote cannot be in quotes: end them, escape it, begin them again.
    if (c == '\'') {
      absl::StrAppend(&quoted, "'\\''");
    } else {
      quoted += c;
    }
  }
  return absl::StrCat(quoted, "'");
}

}  // namespace quantd
