// Evaluations for people, the same in every command that shows one.
#ifndef QUANTD_CLIENT_EVALUATION_TEXT_H_
#define QUANTD_CLIENT_EVALUATION_TEXT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/client.h"
#include "client/session.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

// As JSON object with --json, else as a table of metrics and a table of
// facts.
void PrintEvaluation(Session& session, const v1::Evaluation& evaluation);

// Evaluations of what `name` stands for, newest first: those of a model or an
// artifact ("models/m", "artifacts/a", or bare, looked up in this order), or
// the one evaluation of that name. NotFound when there is none.
absl::StatusOr<std::vector<v1::Evaluation>> EvaluationsOf(
    Client& client, absl::string_view name);

}  // namespace quantd

#endif  // QUANTD_CLIENT_EVALUATION_TEXT_H_
