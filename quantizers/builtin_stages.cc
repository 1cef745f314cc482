#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "quantizers/stage.h"
#include "quantizers/stages/gptq.h"
#include "quantizers/stages/granularity.h"
#include "quantizers/stages/half_quadratic.h"
#include "quantizers/stages/power_exponent.h"
#include "quantizers/stages/rtn.h"

namespace quantd {
namespace {

constexpr StageRow kStages[] = {
    {v1::Stage::kRtn, "rtn", StageRole::kSolver,
     [](const v1::Stage& stage) { return NewRtnStage(stage.rtn()); }},
    {v1::Stage::kGptq, "gptq", StageRole::kSolver,
     [](const v1::Stage& stage) { return NewGptqStage(stage.gptq()); }},
    {v1::Stage::kHalfQuadratic, "half_quadratic", StageRole::kSolver,
     [](const v1::Stage& stage) {
       return NewHalfQuadraticStage(stage.half_quadratic());
     }},
    {v1::Stage::kGranularity, "granularity", StageRole::kAllocate,
     [](const v1::Stage& stage) {
       return NewGranularityStage(stage.granularity());
     }},
    {v1::Stage::kPowerExponent, "power_exponent", StageRole::kAllocate,
     [](const v1::Stage& stage) {
       return NewPowerExponentStage(stage.power_exponent());
     }},
};

}  // namespace

void StatisticsRequest::Merge(const StatisticsRequest& other) {
  second_moment |= other.second_moment;
  mean_abs |= other.mean_abs;
  sample_rows = std::max(sample_rows, other.sample_rows);
  per_set |= other.per_set;
}

std::string StatisticsRequest::Describe() const {
  return absl::StrCat("second_moment=", second_moment, " mean_abs=", mean_abs,
                      " sample_rows=", sample_rows, " per_set=", per_set);
absl::StatusOr<nlohmann::json> Stage::Survey(LayerSurvey& /*layers*/,
                                             ExecutionContext& /*ctx*/) {
  return nlohmann::json::object();
}

absl::Status Stage::UseSurvey(const nlohmann::json& /*found*/) {
  return absl::OkStatus();
}

absl::Span<const StageRow> BuiltinStages() { return kStages; }

const StageRow* FindStageRow(v1::Stage::KindCase kind) {
  for (const StageRow& row : kStages) {
    if (row.kind == kind) return &row;
  }
  return nullptr;
}

absl::StatusOr<std::unique_ptr<Stage>> NewStage(const v1::Stage& options) {
  const StageRow* row = FindStageRow(options.kind_case());
  if (row == nullptr) {
    return absl::UnimplementedError("a stage of the recipe names no kind");
  }
  return row->make(options);
}

}  // namespace quantd
