#include "client/forecast_text.h"

#include "absl/strings/str_cat.h"
#include "client/human_text.h"

namespace quantd {
namespace {

constexpr char kMeasuredPeak[] = "peak_anonymous_memory_bytes";

std::string PeakText(const v1::Job& job) {
  const v1::Forecast& forecast = job.forecast();
  std::string text = HumanBytes(forecast.peak_memory_bytes());
  const auto measured = job.result().metrics().find(kMeasuredPeak);
  if (measured != job.result().metrics().end()) {
    absl::StrAppend(&text, ", was ",
                    HumanBytes(static_cast<uint64_t>(measured->second)));
  } else if (forecast.memory_limit_bytes() > 0) {
    absl::StrAppend(&text, " of ", HumanBytes(forecast.memory_limit_bytes()));
  }
  return text;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> ForecastRows(
    const v1::Job& job) {
  std::vector<std::pair<std::string, std::string>> rows;
  if (!job.has_forecast()) return rows;
  const v1::Forecast& forecast = job.forecast();
  rows.emplace_back("forecast memory", PeakText(job));
  for (const v1::ForecastPart& part : forecast.parts()) {
    rows.emplace_back(absl::StrCat("  ", part.name()),
                      HumanBytes(part.bytes()));
  }
  rows.emplace_back("forecast least memory",
                    HumanBytes(forecast.least_memory_bytes()));
  std::string disk = HumanBytes(forecast.disk_bytes());
  if (forecast.spilled_bytes() > 0) {
    absl::StrAppend(&disk, ", ", HumanBytes(forecast.spilled_bytes()),
                    " of it activations");
  }
  rows.emplace_back("forecast disk", disk);
  if (forecast.output_bytes() > 0) {
    rows.emplace_back("forecast output", HumanBytes(forecast.output_bytes()));
  }
  if (forecast.scoring_order() != v1::SCORING_ORDER_AUTO) {
    rows.emplace_back("scoring order",
                      forecast.scoring_order() == v1::LAYER_MAJOR
                          ? "layer-major"
                          : "batch-major");
  }
  rows.emplace_back("forecast time, rough", HumanSeconds(forecast.seconds()));
  return rows;
}

}  // namespace quantd
