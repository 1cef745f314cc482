// A small quantd in this process: real gRPC on a free port of 127.0.0.1, jobs
// that follow a script instead of computing, and faults on demand.
//
// Thread-safe.
#ifndef QUANTD_TESTS_CLIENT_FAKE_QUANTD_H_
#define QUANTD_TESTS_CLIENT_FAKE_QUANTD_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "grpcpp/grpcpp.h"
#include "quantd/v1/artifact.grpc.pb.h"
#include "quantd/v1/dataset.grpc.pb.h"
#include "quantd/v1/evaluation.grpc.pb.h"
#include "quantd/v1/job.grpc.pb.h"
#include "quantd/v1/model.grpc.pb.h"
#include "quantd/v1/recipe.grpc.pb.h"

namespace quantd::test {

// How the next jobs go.
struct JobScript {
  v1::JobState end = v1::SUCCEEDED;
  std::string error;
  // Only quantize jobs with this setting ("bits=2") end so; others succeed.
  std::string only_set;
  int progress_updates = 10;
  // The watch stream is broken with UNAVAILABLE after so many responses, on
  // every connection; 0: never.
  int break_after = 0;
  // The job keeps running: the stream stays open until the client leaves.
  bool endless = false;
};

class FakeQuantd {
 public:
  FakeQuantd();
  ~FakeQuantd();

  const std::string& address() const { return address_; }

  // The next `count` calls of any method are answered with `status`.
  void FailNext(int count, grpc::Status status);
  void SetScript(JobScript script);
  // An artifact with these files (path -> bytes).
  void AddArtifact(const std::string& id, const std::string& source,
                   const std::map<std::string, std::string>& files);
  // Downloads break with UNAVAILABLE after every `bytes` sent; 0: never.
  void BreakDownloadsAfter(size_t bytes);
  // One bit of every downloaded byte is flipped, digests are not.
  void CorruptDownloads();
  // Breaks the next upload after its first chunk.
  void BreakNextUpload();
  void AddEvaluation(const v1::Evaluation& evaluation);
  // Called once, when a watcher of an endless job has got all there is.
  void OnWatching(std::function<void()> callback);

  // What clients did.
  int calls(const std::string& method);
  std::vector<v1::CreateJobRequest> created_jobs();
  std::vector<v1::CreateModelRequest> created_models();
  std::vector<uint64_t> watch_tokens();
  std::vector<uint64_t> download_offsets();
  std::string dataset_bytes(const std::string& id);

 private:
  // One service each, in fake_<name>.cc.
  class Models;
  class Datasets;
  class Recipes;
  class Jobs;
  class Artifacts;
  class Evaluations;
  std::unique_ptr<grpc::Service> NewModels();
  std::unique_ptr<grpc::Service> NewDatasets();
  std::unique_ptr<grpc::Service> NewRecipes();
  std::unique_ptr<grpc::Service> NewJobs();
  std::unique_ptr<grpc::Service> NewArtifacts();
  std::unique_ptr<grpc::Service> NewEvaluations();

  struct StoredJob {
    v1::Job job;
    JobScript script;
    std::vector<v1::WatchJobResponse> responses;
  };

  // Counts the call; a status when it is to fail.
  grpc::Status Enter(const std::string& method) ABSL_LOCKS_EXCLUDED(mutex_);

  absl::Mutex mutex_;
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;
  grpc::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, int> calls_ ABSL_GUARDED_BY(mutex_);
  JobScript script_ ABSL_GUARDED_BY(mutex_);
  size_t break_downloads_after_ ABSL_GUARDED_BY(mutex_) = 0;
  bool corrupt_downloads_ ABSL_GUARDED_BY(mutex_) = false;
  bool break_next_upload_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> on_watching_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Model> models_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Dataset> datasets_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> bytes_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> job_order_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, StoredJob> jobs_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> requests_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Artifact> artifacts_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> files_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, v1::Evaluation> evaluations_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::CreateJobRequest> created_jobs_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::CreateModelRequest> created_models_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> watch_tokens_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> download_offsets_ ABSL_GUARDED_BY(mutex_);

  std::vector<std::unique_ptr<grpc::Service>> services_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace quantd::test

#endif  // QUANTD_TESTS_CLIENT_FAKE_QUANTD_H_
