#include "server/dataset_upload.h"

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "proto/field_rules.h"
#include "server/proto_time.h"
#include "server/resource_names.h"

namespace quantd {
namespace {

constexpr char kCollection[] = "datasets";
// Of the digest, for a dataset without a name.
constexpr size_t kDefaultIdDigits = 16;

}  // namespace

absl::Status DatasetUpload::Receive(const v1::UploadDatasetRequest& message) {
  switch (message.payload_case()) {
    case v1::UploadDatasetRequest::kHeader:
      return Begin(message.header());
    case v1::UploadDatasetRequest::kData:
      return Append(message.data());
    case v1::UploadDatasetRequest::PAYLOAD_NOT_SET:
      break;
  }
  return InvalidField("payload", "neither header nor data");
}

absl::Status DatasetUpload::Begin(
    const v1::UploadDatasetRequest::Header& header) {
  if (begun_) return InvalidField("header", "only the first message has one");
  RETURN_IF_ERROR(Validate(header, "header"));
  if (!IsSha256Hex(header.digest())) {
    return InvalidField("header.digest",
                        "must be 64 lower-case hexadecimal digits");
  }
  id_ = header.dataset_id();
  if (id_.empty()) id_ = header.digest().substr(0, kDefaultIdDigits);
  ASSIGN_OR_RETURN(id_, ResourceId(kCollection, id_, "header.dataset_id"));
  header_ = header;
  // Refused before the bytes travel; checked again when they are here.
  v1::Dataset existing;
  RETURN_IF_ERROR(CheckId(&existing));
  ASSIGN_OR_RETURN(const uint64_t free_bytes,
                   FreeDiskBytes(context_.data_directory));
  if (header.size_bytes() > free_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the dataset has ", header.size_bytes(),
                     " bytes, the server's disk has ", free_bytes, " free"));
  }
  ASSIGN_OR_RETURN(writer_, context_.artifacts->NewWriter());
  begun_ = true;
  return absl::OkStatus();
}

absl::Status DatasetUpload::Append(absl::string_view bytes) {
  if (!begun_) return InvalidField("header", "must come before the data");
  if (bytes.size() > kMaxChunkBytes) {
    return InvalidField(
        "data", absl::StrCat("chunk of ", bytes.size(), " bytes, at most ",
                             kMaxChunkBytes));
  }
  received_bytes_ += bytes.size();
  if (header_.size_bytes() > 0 && received_bytes_ > header_.size_bytes()) {
    return InvalidField("header.size_bytes",
                        absl::StrCat("announced ", header_.size_bytes(),
                                     ", more bytes follow"));
  }
  return writer_->Append(bytes);
}

absl::Status DatasetUpload::CheckId(v1::Dataset* existing) const {
  const absl::Status found =
      context_.store->Get(Table::kDatasets, id_, existing);
  if (absl::IsNotFound(found)) return absl::OkStatus();
  RETURN_IF_ERROR(found);
  if (existing->digest() == header_.digest()) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(kCollection, "/", id_,
                                               " holds another text, SHA-256 ",
                                               existing->digest()));
}

absl::StatusOr<v1::Dataset> DatasetUpload::Complete() {
  if (!begun_) return InvalidField("header", "the stream had none");
  if (header_.size_bytes() > 0 && received_bytes_ != header_.size_bytes()) {
    return InvalidField("header.size_bytes",
                        absl::StrCat("announced ", header_.size_bytes(),
                                     ", received ", received_bytes_));
  }
  const BlobHolds::Hold blob =
      context_.artifacts->holds().Acquire({header_.digest()});
  const absl::StatusOr<std::string> digest = writer_->Finish(header_.digest());
  if (absl::IsInvalidArgument(digest.status())) {
    return InvalidField("header.digest", digest.status().message());
  }
  RETURN_IF_ERROR(digest.status());
  const KeyedLock::Hold hold = writers_.Acquire(id_);
  v1::Dataset dataset;
  RETURN_IF_ERROR(CheckId(&dataset));
  if (!dataset.name().empty()) return dataset;
  dataset.set_name(absl::StrCat(kCollection, "/", id_));
  dataset.set_digest(*digest);
  dataset.set_size_bytes(received_bytes_);
  dataset.set_source(header_.source());
  *dataset.mutable_create_time() = TimestampNow();
  MetadataBatch batch;
  batch.Put(Table::kDatasets, id_, dataset);
  RETURN_IF_ERROR(context_.store->Commit(batch));
  return dataset;
}

}  // namespace quantd
