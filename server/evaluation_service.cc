#include "server/evaluation_service.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/comparison.h"
#include "evaluators/evaluator.h"
#include "server/resource_listing.h"
#include "server/resource_lookup.h"
#include "server/unary_call.h"

namespace quantd {
namespace {

constexpr char kCollection[] = "evaluations";

// "models/x" means exactly that; a bare "x" the model or the artifact.
bool IsOfTarget(const v1::Evaluation& evaluation, const std::string& target) {
  if (target.empty() || evaluation.target() == target) return true;
  return !absl::StrContains(target, '/') &&
         absl::EndsWith(evaluation.target(), absl::StrCat("/", target));
}

}  // namespace

grpc::ServerUnaryReactor* EvaluationService::GetEvaluation(
    grpc::CallbackServerContext* call, const v1::GetEvaluationRequest* request,
    v1::Evaluation* response) {
  return ServeUnary<v1::GetEvaluationRequest, v1::Evaluation>(
      context_, call, "GetEvaluation", request, response,
      [this](const v1::GetEvaluationRequest& input,
             v1::Evaluation* evaluation) {
        return GetResource(*context_.store, Table::kEvaluations, kCollection,
                           input.name(), evaluation);
      });
}

grpc::ServerUnaryReactor* EvaluationService::ListEvaluations(
    grpc::CallbackServerContext* call,
    const v1::ListEvaluationsRequest* request,
    v1::ListEvaluationsResponse* response) {
  return ServeUnary<v1::ListEvaluationsRequest, v1::ListEvaluationsResponse>(
      context_, call, "ListEvaluations", request, response,
      [this](const v1::ListEvaluationsRequest& input,
             v1::ListEvaluationsResponse* page) {
        return ListPage<v1::Evaluation>(
            *context_.store, Table::kEvaluations, *context_.page_tokens,
            {absl::StrCat(kCollection, "?target=", input.target()),
             input.page_size(), input.page_token()},
            [&](const v1::Evaluation& evaluation) {
              return IsOfTarget(evaluation, input.target());
            },
            page->mutable_evaluations(), page->mutable_next_page_token());
      });
}

grpc::ServerUnaryReactor* EvaluationService::CompareEvaluations(
    grpc::CallbackServerContext* call,
    const v1::CompareEvaluationsRequest* request, v1::Comparison* response) {
  return ServeUnary<v1::CompareEvaluationsRequest, v1::Comparison>(
      context_, call, "CompareEvaluations", request, response,
      [this](const v1::CompareEvaluationsRequest& input,
             v1::Comparison* comparison) {
        return Compare(input, comparison);
      });
}

absl::Status EvaluationService::Compare(
    const v1::CompareEvaluationsRequest& request,
    v1::Comparison* comparison) const {
  v1::Evaluation baseline;
  RETURN_IF_ERROR(GetResource(*context_.store, Table::kEvaluations, kCollection,
                              request.baseline(), &baseline, "baseline"));
  v1::Evaluation candidate;
  RETURN_IF_ERROR(GetResource(*context_.store, Table::kEvaluations, kCollection,
                              request.candidate(), &candidate, "candidate"));
  ASSIGN_OR_RETURN(*comparison,
                   quantd::CompareEvaluations(baseline, candidate));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* EvaluationService::ListMetrics(
    grpc::CallbackServerContext* call, const v1::ListMetricsRequest* request,
    v1::ListMetricsResponse* response) {
  return ServeUnary<v1::ListMetricsRequest, v1::ListMetricsResponse>(
      context_, call, "ListMetrics", request, response,
      [](const v1::ListMetricsRequest&, v1::ListMetricsResponse* metrics) {
        for (v1::MetricInfo& metric : KnownMetrics()) {
          *metrics->add_metrics() = std::move(metric);
        }
        return absl::OkStatus();
      });
}

}  // namespace quantd
