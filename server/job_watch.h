// The open WatchJob streams. Each sends the job as it is, then its events in
// order without gaps or repeats, and in between, when only the progress moved,
// at most ten updates a second. A stream holds a bounded number of events and
// fetches the next ones when the client has taken those, so a slow client
// costs no memory; it never misses an event, since events are durable.
//
// Thread-safe.
#ifndef QUANTD_SERVER_JOB_WATCH_H_
#define QUANTD_SERVER_JOB_WATCH_H_

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/support/server_callback.h"
#include "quantd/v1/job.pb.h"
#include "server/service_context.h"

namespace quantd {

class JobWatch;

class JobWatches {
 public:
  JobWatches();
  // REQUIRES: every stream has ended.
  ~JobWatches();

  // The reactor of a new stream; it ends with OK after the job's last event.
  // `context` must outlive the stream.
  grpc::ServerWriteReactor<v1::WatchJobResponse>* Start(
      const ServiceContext& context, const v1::WatchJobRequest& request);

  int size() const;

  // Ends all streams with Unavailable.
  void StopAll();

 private:
  friend class JobWatch;
  void Remove(const std::shared_ptr<JobWatch>& watch);

  mutable absl::Mutex mutex_;
  absl::flat_hash_set<std::shared_ptr<JobWatch>> live_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quantd

#endif  // QUANTD_SERVER_JOB_WATCH_H_
