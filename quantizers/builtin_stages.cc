#include "quantizers/stage.h"
#include "quantizers/stages/gptq.h"
#include "quantizers/stages/rtn.h"

namespace quantd {
namespace {

constexpr StageRow kStages[] = {
    {v1::Stage::kRtn, "rtn",
     [](const v1::Stage& stage) { return NewRtnStage(stage.rtn()); }},
    {v1::Stage::kGptq, "gptq",
     [](const v1::Stage& stage) { return NewGptqStage(stage.gptq()); }},
};

}  // namespace

absl::Span<const StageRow> BuiltinStages() { return kStages; }

absl::StatusOr<std::unique_ptr<Stage>> NewStage(const v1::Stage& options) {
  for (const StageRow& row : kStages) {
    if (row.kind == options.kind_case()) return row.make(options);
  }
  return absl::UnimplementedError("a stage of the recipe names no kind");
}

}  // namespace quantd
