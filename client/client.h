// The C++ client of quantd.
//
//   Client client({.server = "127.0.0.1:50151"});
//   ASSIGN_OR_RETURN(v1::Dataset text, client.UploadDataset("text.txt", ""));
//   v1::JobSpec spec;
//   ...
//   ASSIGN_OR_RETURN(v1::Job job, client.CreateJob(spec, {}));
//   ASSIGN_OR_RETURN(job, client.WatchJob(job.name(), {}));
//
// Every call returns the server's status with its details: field violations
// are read with ViolationsOf() of proto/field_rules.h. Calls have a deadline
// and are retried while the server is UNAVAILABLE, at most four times, which
// is safe because every creating call carries a request id. Streams
// (uploads, downloads, watching) continue where they broke off.
//
// Names of resources may be written bare ("m") or full ("models/m").
//
// Thread-safe.
#ifndef QUANTD_CLIENT_CLIENT_H_
#define QUANTD_CLIENT_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "quantd/v1/artifact.pb.h"
#include "quantd/v1/dataset.pb.h"
#include "quantd/v1/evaluation.pb.h"
#include "quantd/v1/job.pb.h"
#include "quantd/v1/model.pb.h"
#include "quantd/v1/recipe.pb.h"

namespace quantd {

struct ClientOptions {
  // HOST:PORT of the server. HTTP proxies of the environment are not used.
  std::string server = "127.0.0.1:50151";
  // Deadline of one call, its retries included. Uploads get more in
  // proportion to their size; watching and downloading have none.
  absl::Duration timeout = absl::Seconds(60);
  // How long a broken stream is taken up again without any success.
  absl::Duration give_up_after = absl::Minutes(10);
  // First pause before a broken stream is taken up again; doubles up to five
  // seconds.
  absl::Duration first_pause = absl::Milliseconds(100);
};

// What CreateJob() sends beside the spec.
struct CreateJobOptions {
  // Empty: a fresh UUID. The same id with the same spec is the same job.
  std::string request_id;
  // All checks, no job.
  bool validate_only = false;
};

struct WatchJobOptions {
  // Sequence of the last event already seen; 0: from the job's start.
  uint64_t after_sequence = 0;
  // Every response, in order; an event never twice. May be null.
  std::function<void(const v1::WatchJobResponse&)> on_response;
  // The stream broke and is taken up again after a pause. May be null.
  std::function<void(const absl::Status&)> on_interruption;
};

struct ListJobsOptions {
  std::vector<v1::JobState> states;  // empty: all
  std::string owner;                 // empty: all
  int limit = 0;                     // newest only; 0: all
};

class Client {
 public:
  // Does not connect yet: the first call does.
  explicit Client(ClientOptions options);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  const ClientOptions& options() const { return options_; }

  // Ends all calls in progress with Cancelled, and all later ones at once.
  void Cancel();

  // -- Models
  // A request id is filled in when it is empty.
  absl::StatusOr<v1::Model> CreateModel(v1::CreateModelRequest request);
  absl::StatusOr<v1::Model> GetModel(absl::string_view name);
  absl::StatusOr<std::vector<v1::Model>> ListModels();
  absl::Status DeleteModel(absl::string_view name);

  // -- Datasets
  // Registers the bytes of a local file; an empty id is replaced by the first
  // 16 digits of their digest. Nothing is sent when the server already has
  // the same bytes under the id. AlreadyExists when it has others.
  absl::StatusOr<v1::Dataset> UploadDataset(const std::string& path,
                                            absl::string_view dataset_id);
  absl::StatusOr<v1::Dataset> GetDataset(absl::string_view name);
  absl::StatusOr<std::vector<v1::Dataset>> ListDatasets();
  absl::Status DeleteDataset(absl::string_view name);

  // -- Methods
  absl::StatusOr<std::vector<v1::Recipe>> ListRecipes();
  absl::StatusOr<v1::Recipe> GetRecipe(absl::string_view name);

  // -- Jobs
  absl::StatusOr<v1::Job> CreateJob(const v1::JobSpec& spec,
                                    const CreateJobOptions& options);
  absl::StatusOr<v1::Job> GetJob(absl::string_view name);
  absl::StatusOr<std::vector<v1::Job>> ListJobs(const ListJobsOptions& options);
  absl::StatusOr<v1::Job> CancelJob(absl::string_view name);
  // Follows the job across lost connections and server restarts until it has
  // ended, and returns it as it ended.
  absl::StatusOr<v1::Job> WatchJob(absl::string_view name,
                                   const WatchJobOptions& options);
  absl::StatusOr<v1::ReadJobLogResponse> ReadJobLog(absl::string_view name,
                                                    uint32_t attempt,
                                                    uint64_t offset);

  // -- Artifacts
  absl::StatusOr<v1::Artifact> GetArtifact(absl::string_view name);
  absl::StatusOr<std::vector<v1::Artifact>> ListArtifacts();
  absl::Status DeleteArtifact(absl::string_view name);
  // Downloads all files into `directory`. Every file is written under a
  // temporary name, checked against its digest (DataLoss if it differs),
  // synced and renamed. Files already there with the right digest are kept;
  // what an interrupted download left behind is continued.
  // `on_progress(bytes done, bytes in all)` may be null.
  absl::StatusOr<v1::Artifact> DownloadArtifact(
      absl::string_view name, const std::string& directory,
      const std::function<void(uint64_t, uint64_t)>& on_progress);

  // -- Evaluations
  absl::StatusOr<v1::Evaluation> GetEvaluation(absl::string_view name);
  // Newest first. `target` ("models/m", "artifacts/a"): only its
  // evaluations; empty: all.
  absl::StatusOr<std::vector<v1::Evaluation>> ListEvaluations(
      absl::string_view target);
  // Names may be bare.
  absl::StatusOr<v1::Comparison> CompareEvaluations(
      v1::CompareEvaluationsRequest request);
  absl::StatusOr<std::vector<v1::MetricInfo>> ListMetrics();
  absl::StatusOr<v1::ContaminationReport> CheckContamination(
      const v1::CheckContaminationRequest& request);
  absl::StatusOr<v1::DegradationReport> FitDegradation(
      const v1::FitDegradationRequest& request);
  // The built-in tasks, or what the texts of task files say.
  absl::StatusOr<std::vector<v1::TaskInfo>> ListTasks(
      const std::vector<std::string>& definitions);

  // Channel, stubs and the calls in progress; client/connection.h.
  struct Connection;

  // Waits for `pause`; false when Cancel() was called.
  bool Pause(absl::Duration pause);

 private:
  const ClientOptions options_;
  const std::unique_ptr<Connection> connection_;
};

// "models/m" from "m" or "models/m".
std::string ResourceName(absl::string_view collection, absl::string_view name);
// "m" from either.
std::string BareId(absl::string_view name);

// SUCCEEDED, FAILED or CANCELLED.
bool HasEnded(const v1::Job& job);

}  // namespace quantd

#endif  // QUANTD_CLIENT_CLIENT_H_
