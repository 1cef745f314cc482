#include "quantizers/stage.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace quantd {

void StatisticsRequest::Merge(const StatisticsRequest& other) {
  second_moment |= other.second_moment;
  mean_abs |= other.mean_abs;
  sample_rows = std::max(sample_rows, other.sample_rows);
  windows |= other.windows;
  if (other.sensitivity.measure != SensitivityRequest::Measure::kNone) {
    sensitivity = other.sensitivity;
  }
  per_set |= other.per_set;
  if (!other.token_weighting.uniform()) token_weighting = other.token_weighting;
  window_copies = std::max(window_copies, other.window_copies);
}

std::string StatisticsRequest::Describe() const {
  return absl::StrCat(
      "second_moment=", second_moment, " mean_abs=", mean_abs,
      " sample_rows=", sample_rows, " per_set=", per_set,
      " tokens=", static_cast<int>(token_weighting.kind), " ",
      token_weighting.least, " ", static_cast<int>(token_weighting.per_reader),
      " ", token_weighting.first_share, " window_copies=", window_copies);
}

absl::StatusOr<nlohmann::json> Stage::Survey(LayerSurvey& /*layers*/,
                                             ExecutionContext& /*ctx*/) {
  return nlohmann::json::object();
}

absl::Status Stage::UseSurvey(const nlohmann::json& /*found*/) {
  return absl::OkStatus();
}

}  // namespace quantd
