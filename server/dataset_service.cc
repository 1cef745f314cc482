#include "server/dataset_service.h"

#include <atomic>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/dataset_upload.h"
#include "server/resource_deletion.h"
#include "server/resource_listing.h"
#include "server/resource_lookup.h"
#include "server/status_conversion.h"
#include "server/unary_call.h"

namespace quantd {
namespace {

constexpr char kCollection[] = "datasets";

// Reads one message at a time; what it brings is hashed and written on the
// pool, and only then is the next one asked for, so a stream holds one chunk
// in memory. Deletes itself.
class UploadReactor final
    : public grpc::ServerReadReactor<v1::UploadDatasetRequest> {
 public:
  UploadReactor(const ServiceContext& context, KeyedLock* writers,
                v1::Dataset* response)
      : context_(context), response_(response) {
    upload_.emplace(&context, writers);
    if (context_.jobs() == nullptr) {
      End(StartingError());
      return;
    }
    StartRead(&message_);
  }

  void OnReadDone(bool ok) override {
    // One step of a call that runs already: at most one is queued.
    context_.pool->ScheduleContinuation([this, ok] { Step(ok); });
  }
  void OnCancel() override { cancelled_.store(true); }
  void OnDone() override { delete this; }

 private:
  void Step(bool ok) {
    if (cancelled_.load()) {
      // A stream that broke off also ends with !ok; it is not complete.
      End(absl::CancelledError("the upload was broken off"));
      return;
    }
    if (!ok) {
      const absl::StatusOr<v1::Dataset> dataset = upload_->Complete();
      if (dataset.ok()) *response_ = *dataset;
      End(dataset.status());
      return;
    }
    if (absl::Status received = upload_->Receive(message_); !received.ok()) {
      End(received);
      return;
    }
    StartRead(&message_);
  }

  void End(const absl::Status& status) {
    // Before the client hears of it: a refused upload has left nothing.
    upload_.reset();
    if (!status.ok()) LogFailure(*context_.log, "UploadDataset", status);
    Finish(ToGrpcStatus(status));
  }

  const ServiceContext& context_;
  std::optional<DatasetUpload> upload_;
  v1::Dataset* const response_;
  v1::UploadDatasetRequest message_;
  std::atomic<bool> cancelled_{false};
};

}  // namespace

grpc::ServerReadReactor<v1::UploadDatasetRequest>*
DatasetService::UploadDataset(grpc::CallbackServerContext*,
                              v1::Dataset* response) {
  return new UploadReactor(context_, &writers_, response);
}

grpc::ServerUnaryReactor* DatasetService::GetDataset(
    grpc::CallbackServerContext* call, const v1::GetDatasetRequest* request,
    v1::Dataset* response) {
  return ServeUnary<v1::GetDatasetRequest, v1::Dataset>(
      context_, call, "GetDataset", request, response,
      [this](const v1::GetDatasetRequest& input, v1::Dataset* dataset) {
        return GetResource(*context_.store, Table::kDatasets, kCollection,
                           input.name(), dataset);
      });
}

grpc::ServerUnaryReactor* DatasetService::ListDatasets(
    grpc::CallbackServerContext* call, const v1::ListDatasetsRequest* request,
    v1::ListDatasetsResponse* response) {
  return ServeUnary<v1::ListDatasetsRequest, v1::ListDatasetsResponse>(
      context_, call, "ListDatasets", request, response,
      [this](const v1::ListDatasetsRequest& input,
             v1::ListDatasetsResponse* page) {
        return ListPage<v1::Dataset>(
            *context_.store, Table::kDatasets, *context_.page_tokens,
            {kCollection, input.page_size(), input.page_token()},
            [](const v1::Dataset&) { return true; }, page->mutable_datasets(),
            page->mutable_next_page_token());
      });
}

grpc::ServerUnaryReactor* DatasetService::DeleteDataset(
    grpc::CallbackServerContext* call, const v1::DeleteDatasetRequest* request,
    google::protobuf::Empty* response) {
  return ServeUnary<v1::DeleteDatasetRequest, google::protobuf::Empty>(
      context_, call, "DeleteDataset", request, response,
      [this](const v1::DeleteDatasetRequest& input, google::protobuf::Empty*) {
        ASSIGN_OR_RETURN(const std::string id,
                         ResourceId(kCollection, input.name()));
        const KeyedLock::Hold hold = writers_.Acquire(id);
        return DeleteResource(context_, Table::kDatasets, kCollection, id);
      });
}

}  // namespace quantd
