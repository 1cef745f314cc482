#include "base/sha256.h"
#include "tests/client/fake_answers.h"
#include "tests/client/fake_quantd.h"

namespace quantd::test {
namespace {

using ::grpc::ServerContext;
using ::grpc::Status;
using ::grpc::StatusCode;

}  // namespace

class FakeQuantd::Datasets : public v1::DatasetService::Service {
 public:
  explicit Datasets(FakeQuantd* fake) : fake_(*fake) {}

  Status UploadDataset(ServerContext*,
                       grpc::ServerReader<v1::UploadDatasetRequest>* reader,
                       v1::Dataset* dataset) override {
    if (Status s = fake_.Enter("UploadDataset"); !s.ok()) return s;
    v1::UploadDatasetRequest request;
    if (!reader->Read(&request) || !request.has_header()) {
      return Status(StatusCode::INVALID_ARGUMENT, "header expected first");
    }
    const auto header = request.header();
    std::string bytes;
    while (reader->Read(&request)) {
      if (request.data().size() > (1 << 20)) {
        return Status(StatusCode::INVALID_ARGUMENT, "chunk over 1 MiB");
      }
      bytes += request.data();
      absl::MutexLock lock(&fake_.mutex_);
      if (fake_.break_next_upload_) {
        fake_.break_next_upload_ = false;
        return Status(StatusCode::UNAVAILABLE, "draining");
      }
    }
    if (Sha256Hex(bytes) != header.digest() ||
        bytes.size() != header.size_bytes()) {
      return Status(StatusCode::INVALID_ARGUMENT, "digest differs");
    }
    absl::MutexLock lock(&fake_.mutex_);
    dataset->set_name("datasets/" + header.dataset_id());
    dataset->set_digest(header.digest());
    dataset->set_size_bytes(bytes.size());
    dataset->set_source(header.source());
    fake_.datasets_[dataset->name()] = *dataset;
    fake_.bytes_[dataset->name()] = bytes;
    return Status::OK;
  }

  Status GetDataset(ServerContext*, const v1::GetDatasetRequest* request,
                    v1::Dataset* dataset) override {
    if (Status s = fake_.Enter("GetDataset"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    return Find(fake_.datasets_, request->name(), dataset);
  }

  Status ListDatasets(ServerContext*, const v1::ListDatasetsRequest* request,
                      v1::ListDatasetsResponse* response) override {
    if (Status s = fake_.Enter("ListDatasets"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    Page(
        Values(fake_.datasets_), request->page_token(),
        [&](const v1::Dataset& d) { *response->add_datasets() = d; },
        response->mutable_next_page_token());
    return Status::OK;
  }

  Status DeleteDataset(ServerContext*, const v1::DeleteDatasetRequest* request,
                       google::protobuf::Empty*) override {
    if (Status s = fake_.Enter("DeleteDataset"); !s.ok()) return s;
    absl::MutexLock lock(&fake_.mutex_);
    return fake_.datasets_.erase(request->name()) > 0
               ? Status::OK
               : NotFound(request->name());
  }

 private:
  FakeQuantd& fake_;
};

std::unique_ptr<grpc::Service> FakeQuantd::NewDatasets() {
  return std::make_unique<Datasets>(this);
}

}  // namespace quantd::test
