// One UploadDataset stream: a header, then chunks, into a blob and a record.
//
//   DatasetUpload upload(&context, &writers);
//   for each message: RETURN_IF_ERROR(upload.Receive(message));
//   ASSIGN_OR_RETURN(v1::Dataset dataset, upload.Complete());
//
// Knows nothing of gRPC. Confined to one thread at a time.
#ifndef QUANTD_SERVER_DATASET_UPLOAD_H_
#define QUANTD_SERVER_DATASET_UPLOAD_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "quantd/v1/dataset.pb.h"
#include "server/keyed_lock.h"
#include "server/service_context.h"
#include "storage/artifact_store.h"

namespace quantd {

class DatasetUpload {
 public:
  static constexpr size_t kMaxChunkBytes = size_t{1} << 20;

  // Both must outlive the upload. `writers` serialises changes of one id.
  DatasetUpload(const ServiceContext* context, KeyedLock* writers)
      : context_(*context), writers_(*writers) {}

  // InvalidArgument: no header first, a second one, a field that breaks its
  // rules, a chunk over kMaxChunkBytes, more bytes than announced.
  // AlreadyExists: the id holds another text. ResourceExhausted: disk full.
  absl::Status Receive(const v1::UploadDatasetRequest& message);

  // All was received. Publishes the blob and then the record.
  // InvalidArgument when digest or size differ from the announced ones.
  absl::StatusOr<v1::Dataset> Complete();

 private:
  absl::Status Begin(const v1::UploadDatasetRequest::Header& header);
  absl::Status Append(absl::string_view bytes);
  // OK when the id is free or holds this digest; fills `existing` then.
  absl::Status CheckId(v1::Dataset* existing) const;

  const ServiceContext& context_;
  KeyedLock& writers_;
  bool begun_ = false;
  v1::UploadDatasetRequest::Header header_;
  std::string id_;
  std::unique_ptr<BlobWriter> writer_;
  uint64_t received_bytes_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_SERVER_DATASET_UPLOAD_H_
