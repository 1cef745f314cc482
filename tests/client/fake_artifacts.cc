#include "tests/client/fake_answers.h"
#include "tests/client/fake_quantd.h"

namespace quantd::test {
namespace {

using ::grpc::ServerContext;
using ::grpc::Status;
using ::grpc::StatusCode;

}  // namespace

class FakeQuantd::Artifacts : public v1::ArtifactService::Service {
 public:
  explicit Artifacts(FakeQuantd* fake) : fake_(*fake) {}

  Status GetArtifact(ServerContext*, const v1::GetArtifactRequest* request,
                     v1::Artifact* artifact) override {
    if (Status s = fake_.Enter("GetArtifact"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    return Find(fake_.artifacts_, request->name(), artifact);
  }

  Status ListArtifacts(ServerContext*, const v1::ListArtifactsRequest* request,
                       v1::ListArtifactsResponse* response) override {
    if (Status s = fake_.Enter("ListArtifacts"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    Page(
        Values(fake_.artifacts_), request->page_token(),
        [&](const v1::Artifact& a) { *response->add_artifacts() = a; },
        response->mutable_next_page_token());
    return Status::OK;
  }

  Status ReadArtifactFile(
      ServerContext*, const v1::ReadArtifactFileRequest* request,
      grpc::ServerWriter<v1::ReadArtifactFileResponse>* writer) override {
    if (Status s = fake_.Enter("ReadArtifactFile"); !s.ok()) return s;
    std::string bytes;
    size_t limit = 0;
    {
      absl::MutexLock lock(&fake_.mutex_);
      fake_.download_offsets_.push_back(request->offset());
      const std::string key = request->name() + ":" + request->path();
      if (Status s = Find(fake_.files_, key, &bytes); !s.ok()) return s;
      if (fake_.corrupt_downloads_) {
        for (char& c : bytes) c = static_cast<char>(c ^ 1);
      }
      limit = fake_.break_downloads_after_;
    }
    if (request->offset() > bytes.size()) {
      return Status(StatusCode::OUT_OF_RANGE, "offset beyond the end");
    }
    constexpr size_t kChunk = 1000;
    size_t sent = 0;
    for (size_t at = request->offset(); at < bytes.size(); at += kChunk) {
      if (limit > 0 && sent >= limit) {
        return Status(StatusCode::UNAVAILABLE, "restarting");
      }
      v1::ReadArtifactFileResponse response;
      response.set_offset(at);
      response.set_data(bytes.substr(at, kChunk));
      writer->Write(response);
      sent += response.data().size();
    }
    return Status::OK;
  }

  Status DeleteArtifact(ServerContext*,
                        const v1::DeleteArtifactRequest* request,
                        google::protobuf::Empty*) override {
    if (Status s = fake_.Enter("DeleteArtifact"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    return fake_.artifacts_.erase(request->name()) > 0
               ? Status::OK
               : NotFound(request->name());
  }

 private:
  FakeQuantd& fake_;
};

std::unique_ptr<grpc::Service> FakeQuantd::NewArtifacts() {
  return std::make_unique<Artifacts>(this);
}

}  // namespace quantd::test
