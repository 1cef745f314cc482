// An evaluation as the flat JSON object that scripts read:
//   {"perplexity": 120.3396, "perplexity_error_iid": ..., "windows": ...,
//    "tag": {"convention": "ppl/gptq-512", ...}, "target": ..., ...}
// An evaluation of several metrics shows the first one flat and all of them
// in "metrics". "tokens_per_second" is that of scoring, and is not there where
// nothing was scored. Tasks are in "tasks" by name (task_text.h). A divergence
// from a baseline is in "divergence", and all of several in "divergences":
// every field of v1::DivergenceReport under its name there; a mean with its
// errors is
// {"mean": ..., "error_iid": ..., "error_clustered": ...}, a distribution has
// "percentiles": {"99.9": ...} beside them. Speeds are in "efficiencies" and
// attributions in "attributions", arrays of v1::EfficiencyReport and
// v1::AttributionReport (message_json.h).
#ifndef QUANTD_CLIENT_EVALUATION_JSON_H_
#define QUANTD_CLIENT_EVALUATION_JSON_H_

#include <string>

#include "absl/strings/string_view.h"
#include "client/message_json.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

Json EvaluationToJson(const v1::Evaluation& evaluation);

Json TagToJson(const v1::PerplexityTag& tag);

Json DivergenceToJson(const v1::DivergenceReport& report);

// Whether two perplexities, or scores of a task, may be compared.
bool SameTag(const google::protobuf::Message& a,
             const google::protobuf::Message& b);

// Whether a perplexity is of `metric`: its convention, or that without its last
// numbers, which names all that begin so ("ppl/lmeval-rolling" for
// "ppl/lmeval-rolling-512", "ppl/hf-stride-128" for "ppl/hf-stride-128-512"),
// limited runs too.
bool IsOfMetric(const v1::PerplexityTag& tag, absl::string_view metric);

// "ppl/gptq-512 on text 696cca6b, 397372 tokens": enough for a person to see
// why two tags differ.
std::string TagText(const v1::PerplexityTag& tag);

}  // namespace quantd

#endif  // QUANTD_CLIENT_EVALUATION_JSON_H_
