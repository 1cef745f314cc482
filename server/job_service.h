// quantd.v1.JobService: submits jobs to the job manager and tells what becomes
// of them.
//
// Thread-safe.
#ifndef QUANTD_SERVER_JOB_SERVICE_H_
#define QUANTD_SERVER_JOB_SERVICE_H_

#include "quantd/v1/job.grpc.pb.h"
#include "server/job_watch.h"
#include "server/service_context.h"

namespace quantd {

class JobService final : public v1::JobService::CallbackService {
 public:
  // `context` must outlive the service.
  explicit JobService(const ServiceContext* context) : context_(*context) {}

  grpc::ServerUnaryReactor* CreateJob(grpc::CallbackServerContext* call,
                                      const v1::CreateJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* call,
                                   const v1::GetJobRequest* request,
                                   v1::Job* response) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* call,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* call,
                                      const v1::CancelJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerWriteReactor<v1::WatchJobResponse>* WatchJob(
      grpc::CallbackServerContext* call,
      const v1::WatchJobRequest* request) override;
  grpc::ServerUnaryReactor* ReadJobLog(
      grpc::CallbackServerContext* call, const v1::ReadJobLogRequest* request,
      v1::ReadJobLogResponse* response) override;
  grpc::ServerUnaryReactor* DeleteJob(grpc::CallbackServerContext* call,
                                      const v1::DeleteJobRequest* request,
                                      v1::Job* response) override;

  // Open WatchJob streams.
  int watchers() const { return watches_.size(); }
  // Ends them all with Unavailable: the server shuts down, resume later.
  void StopWatches() { watches_.StopAll(); }

 private:
  const ServiceContext& context_;
  JobWatches watches_;
};

}  // namespace quantd

#endif  // QUANTD_SERVER_JOB_SERVICE_H_
