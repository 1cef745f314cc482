#include "server/job_service.h"

#include "base/status_macros.h"
#include "server/unary_call.h"

namespace quantd {

grpc::ServerUnaryReactor* JobService::CreateJob(
    grpc::CallbackServerContext* call, const v1::CreateJobRequest* request,
    v1::Job* response) {
  return ServeUnary<v1::CreateJobRequest, v1::Job>(
      context_, call, "CreateJob", request, response,
      [this](const v1::CreateJobRequest& input, v1::Job* job) {
        ASSIGN_OR_RETURN(*job, context_.jobs()->Submit(input));
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* JobService::GetJob(grpc::CallbackServerContext* call,
                                             const v1::GetJobRequest* request,
                                             v1::Job* response) {
  return ServeUnary<v1::GetJobRequest, v1::Job>(
      context_, call, "GetJob", request, response,
      [this](const v1::GetJobRequest& input, v1::Job* job) {
        ASSIGN_OR_RETURN(*job, context_.jobs()->Get(input.name()));
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* JobService::ListJobs(
    grpc::CallbackServerContext* call, const v1::ListJobsRequest* request,
    v1::ListJobsResponse* response) {
  return ServeUnary<v1::ListJobsRequest, v1::ListJobsResponse>(
      context_, call, "ListJobs", request, response,
      [this](const v1::ListJobsRequest& input, v1::ListJobsResponse* page) {
        ASSIGN_OR_RETURN(*page, context_.jobs()->List(input));
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* JobService::CancelJob(
    grpc::CallbackServerContext* call, const v1::CancelJobRequest* request,
    v1::Job* response) {
  return ServeUnary<v1::CancelJobRequest, v1::Job>(
      context_, call, "CancelJob", request, response,
      [this](const v1::CancelJobRequest& input, v1::Job* job) {
        ASSIGN_OR_RETURN(*job, context_.jobs()->Cancel(input.name()));
        return absl::OkStatus();
      });
}

grpc::ServerWriteReactor<v1::WatchJobResponse>* JobService::WatchJob(
    grpc::CallbackServerContext*, const v1::WatchJobRequest* request) {
  return watches_.Start(context_, *request);
}

grpc::ServerUnaryReactor* JobService::ReadJobLog(
    grpc::CallbackServerContext* call, const v1::ReadJobLogRequest* request,
    v1::ReadJobLogResponse* response) {
  return ServeUnary<v1::ReadJobLogRequest, v1::ReadJobLogResponse>(
      context_, call, "ReadJobLog", request, response,
      [this](const v1::ReadJobLogRequest& input, v1::ReadJobLogResponse* log) {
        ASSIGN_OR_RETURN(*log, context_.jobs()->ReadLog(input));
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* JobService::DeleteJob(
    grpc::CallbackServerContext* call, const v1::DeleteJobRequest* request,
    v1::Job* response) {
  return ServeUnary<v1::DeleteJobRequest, v1::Job>(
      context_, call, "DeleteJob", request, response,
      [this](const v1::DeleteJobRequest& input, v1::Job* job) {
        ASSIGN_OR_RETURN(*job, context_.jobs()->Delete(input.name()));
        return absl::OkStatus();
      });
}

}  // namespace quantd
