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
//  "rows": [{"point", "bits_per_weight", "divergences": {...},
//            "perplexities": {...}, "tasks": {...}, "report": {...}}, ...],
//  "fronts": [{"cost", "task", "metric", "points": [{"point", "cost", "loss",
//              "loss_error", "standing", "dominated_by"?}, ...]}, ...]}
// "report" is the whole evaluation as quantctl evaluate prints it.
Json SweepToJson(const SweepResult& result);

}  // namespace quantd

#endif  // QUANTD_CLIENT_SWEEP_JSON_H_
