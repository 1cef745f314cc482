// A job manager on a temporary store, with a clock and an executor that the
// test moves, one registered model "tiny" and one dataset "text".
#ifndef QUANTD_TESTS_JOBS_JOB_MANAGER_FIXTURE_H_
#define QUANTD_TESTS_JOBS_JOB_MANAGER_FIXTURE_H_

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "base/sha256.h"
#include "gtest/gtest.h"
#include "jobs/job_id.h"
#include "jobs/job_manager.h"
#include "quantd/v1/artifact.pb.h"
#include "quantd/v1/dataset.pb.h"
#include "quantd/v1/model.pb.h"
#include "storage/artifact_store.h"
#include "storage/metadata_store.h"
#include "tests/testing/fake_clock.h"
#include "tests/testing/fake_executor.h"
#include "tests/testing/job_waiter.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {

class JobManagerFixture : public ::testing::Test {
 protected:
  // One server: what dies and comes back.
  struct Server {
    std::unique_ptr<MetadataStore> store;
    std::unique_ptr<ArtifactStore> artifacts;
    std::unique_ptr<FakeExecutor> executor;
    std::unique_ptr<JobManager> manager;
  };

  void SetUp() override {
    options_.lease = absl::Seconds(1);
    options_.min_free_disk_bytes = 0;
    StartServer();
    ASSERT_FALSE(HasFatalFailure());
    AddModel("tiny");
    AddDataset("text", "some words to learn from");
  }

  void StartServer() { StartServerOn(dir_.File("data")); }

  void StartServerOn(const std::string& directory) {
    options_.data_directory = directory;
    std::filesystem::create_directories(directory);
    MetadataStore::Options store_options;
    store_options.directory = directory + "/metadata";
    ASSERT_OK_AND_ASSIGN(server_.store,
                         MetadataStore::Open(std::move(store_options)));
    ASSERT_OK_AND_ASSIGN(server_.artifacts,
                         OpenFileArtifactStore(directory + "/artifacts"));
    server_.executor = std::make_unique<FakeExecutor>(slots_);
    ASSERT_OK_AND_ASSIGN(
        server_.manager,
        JobManager::Start(options_, server_.store.get(),
                          server_.artifacts.get(), server_.executor.get(),
                          &clock_, nullptr));
  }

  // In this order: each uses those below it.
  void StopServer() {
    server_.manager.reset();
    server_.executor.reset();
    server_.artifacts.reset();
    server_.store.reset();
  }

  void RestartServer() {
    StopServer();
    StartServer();
  }

  // What a kill -9 leaves behind: a copy of the directory as it is now, while
  // the server still runs, and a server on the copy.
  void CrashAndRestart() {
    const std::string copy =
        dir_.File("crash" + std::to_string(++crash_count_));
    std::filesystem::copy(options_.data_directory, copy,
                          std::filesystem::copy_options::recursive |
                              std::filesystem::copy_options::copy_symlinks);
    StopServer();
    StartServerOn(copy);
  }

  void AddModel(const std::string& id) {
    v1::Model model;
    model.set_name("models/" + id);
    model.set_path("/nowhere/" + id);
    model.set_digest(Sha256Hex(id));
    MetadataBatch batch;
    batch.Put(Table::kModels, id, model);
    ASSERT_THAT(server_.store->Commit(batch), IsOk());
  }

  void AddDataset(const std::string& id, const std::string& text) {
    ASSERT_OK_AND_ASSIGN(auto writer, server_.artifacts->NewWriter());
    ASSERT_THAT(writer->Append(text), IsOk());
    v1::Dataset dataset;
    ASSERT_OK_AND_ASSIGN(*dataset.mutable_digest(), writer->Finish(""));
    dataset.set_name("datasets/" + id);
    MetadataBatch batch;
    batch.Put(Table::kDatasets, id, dataset);
    ASSERT_THAT(server_.store->Commit(batch), IsOk());
  }

  static v1::CreateJobRequest QuantizeRequest(
      const std::string& output_id = "") {
    v1::CreateJobRequest request;
    v1::QuantizeSpec& spec = *request.mutable_spec()->mutable_quantize();
    spec.set_model("tiny");
    spec.set_method("rtn");
    spec.set_output_id(output_id);
    return request;
  }

  static v1::CreateJobRequest EvaluateRequest(const std::string& target) {
    v1::CreateJobRequest request;
    v1::EvaluateSpec& spec = *request.mutable_spec()->mutable_evaluate();
    spec.set_target(target);
    spec.add_metrics("ppl/gptq-512");
    spec.set_dataset("text");
    return request;
  }

  // The name of the submitted job.
  std::string Submit(const v1::CreateJobRequest& request) {
    const absl::StatusOr<v1::Job> job = manager().Submit(request);
    EXPECT_THAT(job, IsOk());
    return job.ok() ? job->name() : "";
  }

  // The key of the worker launched as number `index`.
  v1::AttemptKey Launched(size_t index) {
    const WorkerLaunch launch = executor().WaitForLaunch(index);
    EXPECT_NE(launch.job, "") << "no worker was launched";
    v1::AttemptKey key;
    key.set_job(launch.job);
    key.set_attempt(launch.attempt);
    key.set_token(launch.token);
    return key;
  }

  v1::JobState StateOf(const std::string& name) {
    const absl::StatusOr<v1::Job> job = manager().Get(name);
    EXPECT_THAT(job, IsOk());
    return job.ok() ? job->state() : v1::JOB_STATE_UNSPECIFIED;
  }

  v1::Job WaitFor(const std::string& name, v1::JobState state) {
    return WaitForJobState(manager(), name, state);
  }

  // Writes a one-file artifact into the job's workspace and returns the
  // report of its success.
  v1::ReportAttemptRequest SuccessReport(const v1::AttemptKey& key,
                                         const std::string& content = "codes") {
    const std::string directory = Workspace(key.job()) + "/artifact";
    std::filesystem::create_directories(directory);
    std::ofstream(directory + "/model.bin") << content;
    v1::ReportAttemptRequest request;
    *request.mutable_key() = key;
    v1::AttemptSuccess& success = *request.mutable_success();
    success.set_artifact_directory(directory);
    v1::ArtifactFile& file = *success.mutable_artifact()->add_files();
    file.set_path("model.bin");
    file.set_digest(Sha256Hex(content));
    file.set_size_bytes(content.size());
    success.mutable_artifact()->set_bits_per_weight(4.5);
    (*success.mutable_result()->mutable_metrics())["bits_per_weight"] = 4.5;
    return request;
  }

  static v1::ReportAttemptRequest ErrorReport(const v1::AttemptKey& key,
                                              absl::StatusCode code,
                                              const std::string& message) {
    v1::ReportAttemptRequest request;
    *request.mutable_key() = key;
    request.mutable_error()->set_code(static_cast<int>(code));
    request.mutable_error()->set_message(message);
    return request;
  }

  std::string Workspace(const std::string& job) const {
    return options_.data_directory + "/workspaces/" +
           JobIdOf(job).value_or("none");
  }

  JobManager& manager() { return *server_.manager; }
  FakeExecutor& executor() { return *server_.executor; }

  // In memory where possible: a store syncs some forty times when it is
  // opened, and nothing here depends on the disk itself.
  static std::filesystem::path FastParent() {
    const std::filesystem::path memory = "/dev/shm";
    return ::access(memory.c_str(), W_OK) == 0
               ? memory
               : std::filesystem::temp_directory_path();
  }

  TempDir dir_{FastParent()};
  FakeClock clock_;
  int slots_ = 1;
  JobManager::Options options_;
  Server server_;
  int crash_count_ = 0;
};

}  // namespace quantd::test

#endif  // QUANTD_TESTS_JOBS_JOB_MANAGER_FIXTURE_H_
