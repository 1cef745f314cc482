#include "client/efficiency_text.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/human_text.h"
#include "client/table.h"

namespace quantd {
namespace {

std::string RateText(const v1::Measurement& rate) {
  return absl::StrFormat("%.4g +/- %.2g", rate.mean(), rate.deviation());
}

std::string MillisecondsText(double seconds) {
  return absl::StrFormat("%.4g", 1e3 * seconds);
}

std::string RatioText(const v1::SpeedRatio& ratio) {
  return absl::StrFormat("%.3f +/- %.3f", ratio.ratio(), ratio.error());
}

// How many threads were at work, on average.
std::string BusyText(const v1::ProcessTime& time) {
  return time.wall_seconds() > 0
             ? absl::StrFormat("%.2f", time.cpu_seconds() / time.wall_seconds())
             : "-";
}

}  // namespace

void PrintEfficiency(Session& session, const v1::EfficiencyReport& report) {
  const bool pair = report.has_baseline();
  std::vector<std::string> head = {absl::AsciiStrToUpper(report.metric()),
                                   "TARGET"};
  std::vector<Align> alignment = {Align::kLeft, Align::kRight};
  if (pair) {
    head.push_back("BASELINE");
    head.push_back("RATIO");
    alignment.insert(alignment.end(), 2, Align::kRight);
  }
  Table table(std::move(head), std::move(alignment));
  const auto add =
      [&](const std::string& name,
          absl::FunctionRef<std::string(const v1::ModelEfficiency&)> text,
          const std::string& ratio) {
        std::vector<std::string> row = {name, text(report.target())};
        if (pair) {
          row.push_back(text(report.baseline()));
          row.push_back(ratio);
        }
        table.AddRow(std::move(row));
      };
  using Model = v1::ModelEfficiency;
  add(
      "prompt, tokens/s", [](const Model& m) { return RateText(m.prompt()); },
      RatioText(report.prompt_ratio()));
  add(
      "one at a time, tokens/s",
      [](const Model& m) { return RateText(m.generation()); },
      RatioText(report.generation_ratio()));
  add(
      "time to first token, ms",
      [](const Model& m) {
        return absl::StrFormat("%.4g +/- %.2g", 1e3 * m.first_token().mean(),
                               1e3 * m.first_token().deviation());
      },
      "");
  add(
      "a token, ms: mean",
      [](const Model& m) {
        return MillisecondsText(m.latency().mean_seconds());
      },
      "");
  add(
      "median",
      [](const Model& m) {
        return MillisecondsText(m.latency().median_seconds());
      },
      "");
  add(
      "90 %",
      [](const Model& m) {
        return MillisecondsText(m.latency().p90_seconds());
      },
      "");
  add(
      "99 %",
      [](const Model& m) {
        return MillisecondsText(m.latency().p99_seconds());
      },
      "");
  add(
      "steps", [](const Model& m) { return absl::StrCat(m.latency().steps()); },
      "");
  add(
      "load, s",
      [](const Model& m) { return absl::StrFormat("%.3g", m.load_seconds()); },
      "");
  add(
      "memory taken by load",
      [](const Model& m) { return HumanBytes(m.loaded_bytes()); }, "");
  add(
      "weights on disk",
      [](const Model& m) { return HumanBytes(m.weight_bytes()); }, "");
  add(
      "threads at work: prompt",
      [](const Model& m) { return BusyText(m.prompt_time()); }, "");
  add(
      "one at a time",
      [](const Model& m) { return BusyText(m.generation_time()); }, "");
  session.out() << table.ToString() << "\n";
  Table facts({"MEASURED WITH", "VALUE"});
  if (pair) facts.AddRow({"baseline", report.baseline_name()});
  facts.AddRow({"threads", absl::StrCat(report.threads())});
  facts.AddRow({"compute type", report.compute_type()});
  facts.AddRow(
      {"repetitions", absl::StrCat(report.repetitions(),
                                   " after a warm-up, seed ", report.seed())});
  facts.AddRow({"peak resident memory",
                absl::StrCat(HumanBytes(report.peak_resident_bytes()),
                             report.peak_is_sampled() ? " (sampled)" : "")});
  facts.AddRow(
      {"machine when it began",
       absl::StrFormat("load average %.1f, %u other threads running",
                       report.load_average(), report.other_running_threads())});
  session.out() << facts.ToString() << "\n";
}

}  // namespace quantd
