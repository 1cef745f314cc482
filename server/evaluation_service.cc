#include "server/evaluation_service.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/comparison.h"
#include "evaluators/evaluator.h"
#include "evaluators/tasks/builtin_tasks.h"
#include "evaluators/tasks/task_definition.h"
#include "proto/field_rules.h"
#include "server/evaluation_reports.h"
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

// What only a comparison needs, for listings.
void DropItems(v1::Evaluation* evaluation) {
  for (v1::TaskReport& report : *evaluation->mutable_tasks()) {
    report.clear_item_cluster();
    report.clear_item_choice();
    report.clear_answers();
    for (v1::TaskMetric& metric : *report.mutable_metrics()) {
      metric.clear_item_values();
    }
  }
}

absl::StatusOr<v1::TaskInfo> DescribeTask(absl::string_view text) {
  ASSIGN_OR_RETURN(const TaskDefinition definition, ParseTaskFile(text));
  v1::TaskInfo info;
  info.set_name(definition.name);
  info.set_title(definition.title);
  info.set_about(definition.about);
  info.set_citation(definition.citation);
  info.set_kind(std::string(TaskKindName(definition.kind)));
  for (const TaskMetric& metric : definition.metrics) {
    info.add_metrics(metric.name);
  }
  info.set_data_file(definition.data.file);
  for (const RecordFormat format : definition.data.formats) {
    info.add_data_formats(std::string(RecordFormatName(format)));
  }
  if (definition.few_shot_data.has_value()) {
    info.set_few_shot_file(definition.few_shot_data->file);
    for (const RecordFormat format : definition.few_shot_data->formats) {
      info.add_few_shot_formats(std::string(RecordFormatName(format)));
    }
  }
  info.set_few_shot(static_cast<uint32_t>(definition.num_fewshot.value_or(0)));
  info.set_definition(std::string(text));
  return info;
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
        RETURN_IF_ERROR(ListPage<v1::Evaluation>(
            *context_.store, Table::kEvaluations, *context_.page_tokens,
            {absl::StrCat(kCollection, "?target=", input.target()),
             input.page_size(), input.page_token()},
            [&](const v1::Evaluation& evaluation) {
              return IsOfTarget(evaluation, input.target());
            },
            page->mutable_evaluations(), page->mutable_next_page_token()));
        for (v1::Evaluation& evaluation : *page->mutable_evaluations()) {
          DropItems(&evaluation);
        }
        return absl::OkStatus();
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
  v1::CompareEvaluationsRequest complete = request;
  FillDefaults(&complete);
  ComparisonOptions options;
  options.margin = complete.margin();
  options.perplexity_margin = complete.perplexity_margin();
  options.alpha = complete.alpha();
  options.two_sided = complete.two_sided();
  ASSIGN_OR_RETURN(*comparison,
                   quantd::CompareEvaluations(baseline, candidate, options));
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

grpc::ServerUnaryReactor* EvaluationService::CheckContamination(
    grpc::CallbackServerContext* call,
    const v1::CheckContaminationRequest* request,
    v1::ContaminationReport* response) {
  return ServeUnary<v1::CheckContaminationRequest, v1::ContaminationReport>(
      context_, call, "CheckContamination", request, response,
      [this](const v1::CheckContaminationRequest& input,
             v1::ContaminationReport* report) {
        return ReportContamination(*context_.store, *context_.artifacts, input,
                                   report);
      });
}

grpc::ServerUnaryReactor* EvaluationService::FitDegradation(
    grpc::CallbackServerContext* call, const v1::FitDegradationRequest* request,
    v1::DegradationReport* response) {
  return ServeUnary<v1::FitDegradationRequest, v1::DegradationReport>(
      context_, call, "FitDegradation", request, response,
      [this](const v1::FitDegradationRequest& input,
             v1::DegradationReport* report) {
        return ReportDegradation(*context_.store, input, report);
      });
}

grpc::ServerUnaryReactor* EvaluationService::ListTasks(
    grpc::CallbackServerContext* call, const v1::ListTasksRequest* request,
    v1::ListTasksResponse* response) {
  return ServeUnary<v1::ListTasksRequest, v1::ListTasksResponse>(
      context_, call, "ListTasks", request, response,
      [](const v1::ListTasksRequest& input, v1::ListTasksResponse* tasks) {
        for (int i = 0; i < input.definitions_size(); ++i) {
          ASSIGN_OR_RETURN(*tasks->add_tasks(),
                           Annotate(DescribeTask(input.definitions(i)),
                                    "definitions[", i, "]"));
        }
        if (input.definitions_size() > 0) return absl::OkStatus();
        for (const BuiltinTask& task : BuiltinTasks()) {
          ASSIGN_OR_RETURN(*tasks->add_tasks(), DescribeTask(task.text));
        }
        return absl::OkStatus();
      });
}

}  // namespace quantd
