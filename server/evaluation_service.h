// quantd.v1.EvaluationService: reports, and comparisons of two of them.
//
// Thread-safe.
#ifndef QUANTD_SERVER_EVALUATION_SERVICE_H_
#define QUANTD_SERVER_EVALUATION_SERVICE_H_

#include "quantd/v1/evaluation.grpc.pb.h"
#include "server/service_context.h"

namespace quantd {

class EvaluationService final : public v1::EvaluationService::CallbackService {
 public:
  // `context` must outlive the service.
  explicit EvaluationService(const ServiceContext* context)
      : context_(*context) {}

  grpc::ServerUnaryReactor* GetEvaluation(
      grpc::CallbackServerContext* call,
      const v1::GetEvaluationRequest* request,
      v1::Evaluation* response) override;
  grpc::ServerUnaryReactor* ListEvaluations(
      grpc::CallbackServerContext* call,
      const v1::ListEvaluationsRequest* request,
      v1::ListEvaluationsResponse* response) override;
  grpc::ServerUnaryReactor* CompareEvaluations(
      grpc::CallbackServerContext* call,
      const v1::CompareEvaluationsRequest* request,
      v1::Comparison* response) override;
  grpc::ServerUnaryReactor* ListMetrics(
      grpc::CallbackServerContext* call, const v1::ListMetricsRequest* request,
      v1::ListMetricsResponse* response) override;
  grpc::ServerUnaryReactor* CheckContamination(
      grpc::CallbackServerContext* call,
      const v1::CheckContaminationRequest* request,
      v1::ContaminationReport* response) override;
  grpc::ServerUnaryReactor* FitDegradation(
      grpc::CallbackServerContext* call,
      const v1::FitDegradationRequest* request,
      v1::DegradationReport* response) override;
  grpc::ServerUnaryReactor* ListTasks(grpc::CallbackServerContext* call,
                                      const v1::ListTasksRequest* request,
                                      v1::ListTasksResponse* response) override;

 private:
  absl::Status Compare(const v1::CompareEvaluationsRequest& request,
                       v1::Comparison* comparison) const;

  const ServiceContext& context_;
};

}  // namespace quantd

#endif  // QUANTD_SERVER_EVALUATION_SERVICE_H_
