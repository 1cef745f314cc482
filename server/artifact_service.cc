#include "server/artifact_service.h"

#include <memory>
#include <utility>

#include "base/status_macros.h"
#include "proto/field_rules.h"
#include "server/artifact_download.h"
#include "server/resource_deletion.h"
#include "server/resource_listing.h"
#include "server/resource_lookup.h"
#include "server/status_conversion.h"
#include "server/unary_call.h"

namespace quantd {
namespace {

constexpr char kCollection[] = "artifacts";

// Reads a chunk on the pool, writes it, and reads the next one when the
// transport has taken it. Deletes itself.
class DownloadReactor final
    : public grpc::ServerWriteReactor<v1::ReadArtifactFileResponse> {
 public:
  DownloadReactor(const ServiceContext& context,
                  const v1::ReadArtifactFileRequest& request)
      : context_(context), request_(request) {
    if (context_.jobs() == nullptr) {
      End(StartingError());
    } else if (!context_.pool->Schedule([this] { Begin(); })) {
      End(OverloadedError());
    }
  }

  void OnWriteDone(bool ok) override {
    if (!ok) {
      End(absl::CancelledError("the download was broken off"));
      return;
    }
    context_.pool->ScheduleContinuation([this] { WriteNext(); });
  }
  void OnDone() override { delete this; }

 private:
  void Begin() {
    if (absl::Status valid = Validate(request_); !valid.ok()) {
      End(valid);
      return;
    }
    absl::StatusOr<std::unique_ptr<ArtifactDownload>> download =
        ArtifactDownload::Open(*context_.store, *context_.artifacts, request_);
    if (!download.ok()) {
      End(download.status());
      return;
    }
    download_ = *std::move(download);
    WriteNext();
  }

  void WriteNext() {
    const absl::StatusOr<bool> more = download_->Next(&chunk_);
    if (!more.ok() || !*more) {
      End(more.status());
      return;
    }
    StartWrite(&chunk_);
  }

  void End(const absl::Status& status) {
    if (!status.ok()) LogFailure(*context_.log, "ReadArtifactFile", status);
    Finish(ToGrpcStatus(status));
  }

  const ServiceContext& context_;
  const v1::ReadArtifactFileRequest request_;
  std::unique_ptr<ArtifactDownload> download_;
  v1::ReadArtifactFileResponse chunk_;
};

}  // namespace

grpc::ServerUnaryReactor* ArtifactService::GetArtifact(
    grpc::CallbackServerContext* call, const v1::GetArtifactRequest* request,
    v1::Artifact* response) {
  return ServeUnary<v1::GetArtifactRequest, v1::Artifact>(
      context_, call, "GetArtifact", request, response,
      [this](const v1::GetArtifactRequest& input, v1::Artifact* artifact) {
        return GetResource(*context_.store, Table::kArtifacts, kCollection,
                           input.name(), artifact);
      });
}

grpc::ServerUnaryReactor* ArtifactService::ListArtifacts(
    grpc::CallbackServerContext* call, const v1::ListArtifactsRequest* request,
    v1::ListArtifactsResponse* response) {
  return ServeUnary<v1::ListArtifactsRequest, v1::ListArtifactsResponse>(
      context_, call, "ListArtifacts", request, response,
      [this](const v1::ListArtifactsRequest& input,
             v1::ListArtifactsResponse* page) {
        return ListPage<v1::Artifact>(
            *context_.store, Table::kArtifacts, *context_.page_tokens,
            {kCollection, input.page_size(), input.page_token()},
            [](const v1::Artifact&) { return true; }, page->mutable_artifacts(),
            page->mutable_next_page_token());
      });
}

grpc::ServerWriteReactor<v1::ReadArtifactFileResponse>*
ArtifactService::ReadArtifactFile(grpc::CallbackServerContext*,
                                  const v1::ReadArtifactFileRequest* request) {
  return new DownloadReactor(context_, *request);
}

grpc::ServerUnaryReactor* ArtifactService::DeleteArtifact(
    grpc::CallbackServerContext* call, const v1::DeleteArtifactRequest* request,
    google::protobuf::Empty* response) {
  return ServeUnary<v1::DeleteArtifactRequest, google::protobuf::Empty>(
      context_, call, "DeleteArtifact", request, response,
      [this](const v1::DeleteArtifactRequest& input, google::protobuf::Empty*) {
        return DeleteResource(context_, Table::kArtifacts, kCollection,
                              input.name());
      });
}

}  // namespace quantd
