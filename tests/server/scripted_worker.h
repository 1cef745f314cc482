// Plays the worker of one attempt over gRPC, step by step, so that a test
// decides what a job does and when.
#ifndef QUANTD_TESTS_SERVER_SCRIPTED_WORKER_H_
#define QUANTD_TESTS_SERVER_SCRIPTED_WORKER_H_

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "base/sha256.h"
#include "jobs/executor.h"
#include "tests/testing/grpc_matchers.h"
#include "tests/testing/in_process_server.h"
#include "tests/testing/project_paths.h"

namespace quantd::test {

// The checkpoint that the demo runs on.
inline std::string DemoModelPath() {
  return ProjectPath("deploy/demo/demo-llama-1m");
}

inline grpc::Status RegisterDemoModel(InProcessServer& server,
                                      const std::string& id) {
  v1::CreateModelRequest request;
  request.set_model_id(id);
  request.set_path(DemoModelPath());
  grpc::ClientContext context;
  v1::Model model;
  return server.models().CreateModel(&context, request, &model);
}

// A quantization that needs no calibration text.
inline v1::CreateJobRequest RtnJob(const std::string& model) {
  v1::CreateJobRequest request;
  request.mutable_spec()->mutable_quantize()->set_model(model);
  request.mutable_spec()->mutable_quantize()->set_method("rtn");
  return request;
}

class ScriptedWorker {
 public:
  // Of the executor's launch number `index`, counted from 0.
  ScriptedWorker(InProcessServer& server, size_t index) : server_(server) {
    const WorkerLaunch launch = server.executor().WaitForLaunch(index);
    key_.set_job(launch.job);
    key_.set_attempt(launch.attempt);
    key_.set_token(launch.token);
  }

  const v1::AttemptKey& key() const { return key_; }
  v1::AttemptKey& mutable_key() { return key_; }
  const v1::Assignment& assignment() const { return assignment_; }

  grpc::Status Claim() {
    grpc::ClientContext context;
    return server_.workers().ClaimAttempt(&context, key_, &assignment_);
  }

  grpc::Status Heartbeat(double fraction, const std::string& note = "") {
    v1::Progress progress;
    progress.set_phase("quantize");
    progress.set_fraction(fraction);
    return Heartbeat(progress, note);
  }

  grpc::Status Heartbeat(const v1::Progress& progress,
                         const std::string& note = "") {
    v1::HeartbeatRequest request;
    *request.mutable_key() = key_;
    *request.mutable_progress() = progress;
    if (!note.empty()) request.add_notes(note);
    grpc::ClientContext context;
    v1::HeartbeatResponse response;
    return server_.workers().Heartbeat(&context, request, &response);
  }

  // Writes the files of an artifact and reports success.
  grpc::Status Succeed(const std::map<std::string, std::string>& files) {
    v1::ReportAttemptRequest request;
    *request.mutable_key() = key_;
    v1::AttemptSuccess& success = *request.mutable_success();
    success.set_artifact_directory("out");
    const std::string directory = assignment_.workspace() + "/out";
    std::filesystem::create_directories(directory);
    for (const auto& [path, bytes] : files) {
      std::ofstream(directory + "/" + path, std::ios::binary) << bytes;
      v1::ArtifactFile& file = *success.mutable_artifact()->add_files();
      file.set_path(path);
      file.set_digest(Sha256Hex(bytes));
      file.set_size_bytes(bytes.size());
    }
    success.mutable_result()->set_peak_memory_bytes(uint64_t{64} << 20);
    success.mutable_result()->set_resumed_blocks(3);
    (*success.mutable_result()->mutable_metrics())["compressed_weights"] = 1000;
    auto& metrics = *success.mutable_result()->mutable_metrics();
    metrics["phase_seconds.load"] = 0.25;
    metrics["phase_seconds.quantize"] = 2;
    metrics["phase_seconds.unheard_of"] = 1;
    return Report(request);
  }

  grpc::Status Fail(int code, const std::string& message) {
    v1::ReportAttemptRequest request;
    *request.mutable_key() = key_;
    request.mutable_error()->set_code(code);
    request.mutable_error()->set_message(message);
    return Report(request);
  }

  grpc::Status Report(const v1::ReportAttemptRequest& request) {
    grpc::ClientContext context;
    google::protobuf::Empty response;
    return server_.workers().ReportAttempt(&context, request, &response);
  }

 private:
  InProcessServer& server_;
  v1::AttemptKey key_;
  v1::Assignment assignment_;
};

}  // namespace quantd::test

#endif  // QUANTD_TESTS_SERVER_SCRIPTED_WORKER_H_
