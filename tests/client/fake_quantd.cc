#include "tests/client/fake_quantd.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"

namespace quantd::test {

FakeQuantd::FakeQuantd() {
  services_.push_back(NewModels());
  services_.push_back(NewDatasets());
  services_.push_back(NewRecipes());
  services_.push_back(NewJobs());
  services_.push_back(NewArtifacts());
  services_.push_back(NewEvaluations());
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  for (const auto& service : services_) {
    builder.RegisterService(service.get());
  }
  server_ = builder.BuildAndStart();
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeQuantd::~FakeQuantd() {
  server_->Shutdown(std::chrono::system_clock::now());
}

grpc::Status FakeQuantd::Enter(const std::string& method) {
  absl::MutexLock lock(&mutex_);
  ++calls_[method];
  if (failures_ == 0) return grpc::Status::OK;
  --failures_;
  return failure_;
}

void FakeQuantd::FailNext(int count, grpc::Status status) {
  absl::MutexLock lock(&mutex_);
  failures_ = count;
  failure_ = std::move(status);
}

void FakeQuantd::SetScript(JobScript script) {
  absl::MutexLock lock(&mutex_);
  script_ = std::move(script);
}

void FakeQuantd::AddArtifact(const std::string& id, const std::string& source,
                             const std::map<std::string, std::string>& files) {
  absl::MutexLock lock(&mutex_);
  v1::Artifact artifact;
  artifact.set_name("artifacts/" + id);
  artifact.set_source(source);
  artifact.set_kind(v1::Artifact::COMPRESSED_CHECKPOINT);
  artifact.set_recipe("gptq");
  artifact.set_bits_per_weight(4.25);
  uint64_t size = 0;
  for (const auto& [path, bytes] : files) {
    v1::ArtifactFile* file = artifact.add_files();
    file->set_path(path);
    file->set_digest(Sha256Hex(bytes));
    file->set_size_bytes(bytes.size());
    size += bytes.size();
    files_[artifact.name() + ":" + path] = bytes;
  }
  artifact.set_size_bytes(size);
  artifacts_[artifact.name()] = artifact;
}

void FakeQuantd::BreakDownloadsAfter(size_t bytes) {
  absl::MutexLock lock(&mutex_);
  break_downloads_after_ = bytes;
}

void FakeQuantd::CorruptDownloads() {
  absl::MutexLock lock(&mutex_);
  corrupt_downloads_ = true;
}

void FakeQuantd::BreakNextUpload() {
  absl::MutexLock lock(&mutex_);
  break_next_upload_ = true;
}

void FakeQuantd::AddEvaluation(const v1::Evaluation& evaluation) {
  absl::MutexLock lock(&mutex_);
  evaluations_[evaluation.name()] = evaluation;
}

void FakeQuantd::OnWatching(std::function<void()> callback) {
  absl::MutexLock lock(&mutex_);
  on_watching_ = std::move(callback);
}

int FakeQuantd::calls(const std::string& method) {
  absl::MutexLock lock(&mutex_);
  return calls_[method];
}

std::vector<v1::CreateJobRequest> FakeQuantd::created_jobs() {
  absl::MutexLock lock(&mutex_);
  return created_jobs_;
}

std::vector<v1::CreateModelRequest> FakeQuantd::created_models() {
  absl::MutexLock lock(&mutex_);
  return created_models_;
}

std::vector<uint64_t> FakeQuantd::watch_tokens() {
  absl::MutexLock lock(&mutex_);
  return watch_tokens_;
}

std::vector<uint64_t> FakeQuantd::download_offsets() {
  absl::MutexLock lock(&mutex_);
  return download_offsets_;
}

std::string FakeQuantd::dataset_bytes(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  return bytes_["datasets/" + id];
}

}  // namespace quantd::test
