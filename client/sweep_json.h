// The result of a sweep as JSON, on standard output and in sweep.json.
//
// Thread-safe: a free function of its argument.
#ifndef QUANTD_CLIENT_SWEEP_JSON_H_
#define QUANTD_CLIENT_SWEEP_JSON_H_

#include "client/message_json.h"
#include "client/sweep_result.h"

namespace quantd {

// The form of SweepToJson(). A form that programs for this one misread takes a
// new name.
inline constexpr char kSweepFormat[] = "quantd-sweep.v1";

// {"format": "quantd-sweep.v1", "name", "model", "command", "margin", ...,
//  "rows": [{"point", "bits_per_weight", "efficiencies"?: {...},
//            "divergences": {...}, "perplexities": {...}, "tasks": {...},
//            "report": {...}}, ...],
//  "fronts": [{"cost", "cost_metric"?, "task", "metric",
//              "points": [{"point", "cost", "cost_error"?, "loss",
//              "loss_error", "standing", "dominated_by"?}, ...]}, ...]}
// Costs are those of sweep_cost.h, by their names; of speeds more is better.
// "report" is the whole evaluation as quantctl evaluate prints it: its
// "tokens_per_second" is that of scoring, which kept and shared scores raise,
// and says nothing of the point.
Json SweepToJson(const SweepResult& result);

}  // namespace quantd

#endif  // QUANTD_CLIENT_SWEEP_JSON_H_
