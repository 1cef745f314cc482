// Client::UploadDataset: digest first, then the bytes, again from the start
// when the stream breaks (the server stores them once per digest).
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "client/client.h"
#include "client/connection.h"

namespace quantd {
namespace {

constexpr size_t kChunkBytes = 256 << 10;
constexpr int kAttempts = 4;
// The slowest link an upload still finishes over before its deadline.
constexpr double kSlowestBytesPerSecond = 256 << 10;

// One attempt. A file that changes meanwhile is noticed by the server: its
// digest is not the announced one.
absl::StatusOr<v1::Dataset> SendOnce(Client::Connection& connection,
                                     absl::Duration timeout,
                                     const std::string& path,
                                     const v1::UploadDatasetRequest& header) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, ": cannot open"));
  ScopedCall call(connection, timeout);
  v1::Dataset dataset;
  const auto writer =
      connection.datasets->UploadDataset(call.context(), &dataset);
  bool open = writer->Write(header);
  v1::UploadDatasetRequest chunk;
  while (open) {
    std::string* data = chunk.mutable_data();
    data->resize(kChunkBytes);
    file.read(data->data(), static_cast<std::streamsize>(kChunkBytes));
    data->resize(static_cast<size_t>(file.gcount()));
    if (data->empty()) break;
    open = writer->Write(chunk);
  }
  if (open) writer->WritesDone();
  // When the server closed the stream early, its status says why.
  RETURN_IF_ERROR(connection.Convert(writer->Finish()));
  return dataset;
}

}  // namespace

absl::StatusOr<v1::Dataset> Client::UploadDataset(
    const std::string& path, absl::string_view dataset_id) {
  ASSIGN_OR_RETURN(const std::string digest, Sha256HexOfFile(path));
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  if (error) return ErrnoToStatus(error.value(), "size of", path);
  const std::string id =
      dataset_id.empty() ? digest.substr(0, 16) : BareId(dataset_id);

  const auto existing = GetDataset(id);
  if (existing.ok() && existing->digest() == digest) return existing;
  if (existing.ok()) {
    return absl::AlreadyExistsError(
        absl::StrCat("dataset ", id, " exists with other bytes (digest ",
                     existing->digest(), ", ", path, " has ", digest, ")"));
  }
  if (!absl::IsNotFound(existing.status())) return existing.status();

  v1::UploadDatasetRequest request;
  v1::UploadDatasetRequest::Header* header = request.mutable_header();
  header->set_dataset_id(id);
  header->set_digest(digest);
  header->set_size_bytes(size);
  header->set_source(std::filesystem::path(path).filename().string());
  const absl::Duration timeout =
      options_.timeout + absl::Seconds(size / kSlowestBytesPerSecond);
  Backoff backoff(options_);
  for (int attempt = 1;; ++attempt) {
    auto dataset = SendOnce(*connection_, timeout, path, request);
    if (attempt == kAttempts || !absl::IsUnavailable(dataset.status()) ||
        !connection_->Pause(backoff.Next())) {
      return Annotate(std::move(dataset), path);
    }
  }
}

}  // namespace quantd
