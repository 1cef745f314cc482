// Reports of tasks and verdicts for people and as JSON.
#ifndef QUANTD_CLIENT_TASK_TEXT_H_
#define QUANTD_CLIENT_TASK_TEXT_H_

#include <string>

#include "client/message_json.h"
#include "client/session.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

// A table of all metrics, one of the subsets where there are some, and what is
// odd about the answers.
void PrintTask(Session& session, const v1::TaskReport& report);

// Every field of the report but those of single items; "metrics" and "subsets"
// by name.
Json TaskToJson(const v1::TaskReport& report);

// "equivalent", "undecided, 1234 more needed".
std::string VerdictText(const v1::MetricComparison& row);

// A row a metric, the family first.
void PrintVerdicts(Session& session, const v1::Comparison& comparison);

}  // namespace quantd

#endif  // QUANTD_CLIENT_TASK_TEXT_H_
