#include "nlohmann/json.hpp"
#include "quantizers/stage.h"
#include "quantizers/stages/activation_scaling.h"
#include "quantizers/stages/bit_allocation.h"
#include "quantizers/stages/clip.h"
#include "quantizers/stages/coordinate_descent.h"
#include "quantizers/stages/distill.h"
#include "quantizers/stages/gptq.h"
#include "quantizers/stages/granularity.h"
#include "quantizers/stages/half_quadratic.h"
#include "quantizers/stages/low_rank.h"
#include "quantizers/stages/outliers.h"
#include "quantizers/stages/power_exponent.h"
#include "quantizers/stages/rotate.h"
#include "quantizers/stages/row_bits.h"
#include "quantizers/stages/rtn.h"
#include "quantizers/stages/sensitivity.h"
#include "quantizers/stages/token_importance.h"
#include "quantizers/stages/tune.h"

namespace quantd {
namespace {

constexpr StageRow kStages[] = {
    {v1::Stage::kRtn, "rtn", StageRole::kSolver,
     [](const v1::Stage& stage) { return NewRtnStage(stage.rtn()); }},
    {v1::Stage::kGptq, "gptq", StageRole::kSolver,
     [](const v1::Stage& stage) { return NewGptqStage(stage.gptq()); }},
    {v1::Stage::kCoordinateDescent, "coordinate_descent", StageRole::kSolver,
     [](const v1::Stage& stage) {
       return NewCoordinateDescentStage(stage.coordinate_descent());
     }},
    {v1::Stage::kOutliers, "outliers", StageRole::kOutliers,
     [](const v1::Stage& stage) { return NewOutliersStage(stage.outliers()); }},
    {v1::Stage::kLowRank, "low_rank", StageRole::kCompensate,
     [](const v1::Stage& stage) { return NewLowRankStage(stage.low_rank()); }},
    {v1::Stage::kHalfQuadratic, "half_quadratic", StageRole::kSolver,
     [](const v1::Stage& stage) {
       return NewHalfQuadraticStage(stage.half_quadratic());
     }},
    {v1::Stage::kGranularity, "granularity", StageRole::kAllocate,
     [](const v1::Stage& stage) {
       return NewGranularityStage(stage.granularity());
     }},
    {v1::Stage::kRotate, "rotate", StageRole::kTransform,
     [](const v1::Stage& stage) { return NewRotateStage(stage.rotate()); }},
    {v1::Stage::kActivationScaling, "activation_scaling", StageRole::kTransform,
     [](const v1::Stage& stage) {
       return NewActivationScalingStage(stage.activation_scaling());
     }},
    {v1::Stage::kClip, "clip", StageRole::kTransform,
     [](const v1::Stage& stage) { return NewClipStage(stage.clip()); }},
    {v1::Stage::kBitAllocation, "bit_allocation", StageRole::kAllocate,
     [](const v1::Stage& stage) {
       return NewBitAllocationStage(stage.bit_allocation());
     }},
    {v1::Stage::kTokenImportance, "token_importance", StageRole::kStatistics,
     [](const v1::Stage& stage) {
       return NewTokenImportanceStage(stage.token_importance());
     }},
    {v1::Stage::kPowerExponent, "power_exponent", StageRole::kAllocate,
     [](const v1::Stage& stage) {
       return NewPowerExponentStage(stage.power_exponent());
     }},
    {v1::Stage::kTune, "tune", StageRole::kTune,
     [](const v1::Stage& stage) { return NewTuneStage(stage.tune()); }},
    {v1::Stage::kSensitivity, "sensitivity", StageRole::kStatistics,
     [](const v1::Stage& stage) {
       return NewSensitivityStage(stage.sensitivity());
     }},
    {v1::Stage::kDistill, "distill", StageRole::kTuneNetwork,
     [](const v1::Stage& stage) { return NewDistillStage(stage.distill()); }},
    {v1::Stage::kRowBits, "row_bits", StageRole::kAllocate,
     [](const v1::Stage& stage) { return NewRowBitsStage(stage.row_bits()); }},
};

}  // namespace

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
