// The gRPC side of Client: channel, stubs, calls in progress. Included by the
// client's own .cc files only.
//
// Thread-safe.
#ifndef QUANTD_CLIENT_CONNECTION_H_
#define QUANTD_CLIENT_CONNECTION_H_

#include <algorithm>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "grpcpp/grpcpp.h"
#include "quantd/v1/artifact.grpc.pb.h"
#include "quantd/v1/dataset.grpc.pb.h"
#include "quantd/v1/evaluation.grpc.pb.h"
#include "quantd/v1/job.grpc.pb.h"
#include "quantd/v1/model.grpc.pb.h"
#include "quantd/v1/recipe.grpc.pb.h"

namespace quantd {

struct Client::Connection {
  explicit Connection(const ClientOptions& options);

  void Cancel() ABSL_LOCKS_EXCLUDED(mutex);
  // False when cancelled before the pause was over.
  bool Pause(absl::Duration pause) ABSL_LOCKS_EXCLUDED(mutex);

  // The server's status with what the user needs to know about where.
  absl::Status Convert(const grpc::Status& status) const;

  const std::string server;
  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<v1::ModelService::Stub> models;
  const std::unique_ptr<v1::DatasetService::Stub> datasets;
  const std::unique_ptr<v1::RecipeService::Stub> recipes;
  const std::unique_ptr<v1::JobService::Stub> jobs;
  const std::unique_ptr<v1::ArtifactService::Stub> artifacts;
  const std::unique_ptr<v1::EvaluationService::Stub> evaluations;

  absl::Mutex mutex;
  std::set<grpc::ClientContext*> active ABSL_GUARDED_BY(mutex);
  bool cancelled ABSL_GUARDED_BY(mutex) = false;
};

// One call: its context, known to the connection as long as it lives so that
// Cancel() reaches it.
class ScopedCall {
 public:
  // absl::InfiniteDuration(): no deadline.
  ScopedCall(Client::Connection& connection, absl::Duration timeout);
  ~ScopedCall();
  ScopedCall(const ScopedCall&) = delete;
  ScopedCall& operator=(const ScopedCall&) = delete;

  grpc::ClientContext* context() { return &context_; }

 private:
  Client::Connection& connection_;
  grpc::ClientContext context_;
};

// The growing pauses between attempts to take a stream up again.
class Backoff {
 public:
  explicit Backoff(const ClientOptions& options)
      : options_(options), next_(options.first_pause) {}

  // After any success.
  void Reset() {
    next_ = options_.first_pause;
    waited_ = absl::ZeroDuration();
  }
  // Whether another attempt is worth while.
  bool Exhausted() const { return waited_ >= options_.give_up_after; }
  absl::Duration Next() {
    const absl::Duration pause = next_;
    waited_ += pause;
    next_ = std::min(next_ * 2, absl::Seconds(5));
    return pause;
  }

 private:
  const ClientOptions& options_;
  absl::Duration next_;
  absl::Duration waited_;
};

}  // namespace quantd

#endif  // QUANTD_CLIENT_CONNECTION_H_
