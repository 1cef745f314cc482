// Client::DownloadArtifact: files become visible whole and checked, or not at
// all.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "client/client.h"
#include "client/connection.h"

namespace quantd {
namespace {

using ProgressFunction = std::function<void(uint64_t)>;

// A server must not be able to make the client write outside the directory.
absl::Status CheckRelativePath(absl::string_view path) {
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == ".." ||
        part.find('\0') != absl::string_view::npos) {
      return absl::DataLossError(absl::StrCat(
          "artifact lists a file with the unsafe path \"", path, "\""));
    }
  }
  return absl::OkStatus();
}

// The file while it is incomplete. Named by digest, so that a later download
// continues it exactly when it wants the same bytes.
std::string PartialPath(const std::string& path, const std::string& digest) {
  return absl::StrCat(path, ".", digest.substr(0, 16), ".partial");
}

// Appends what the server sends from `*offset` on, until the stream ends.
absl::Status Receive(Client::Connection& connection,
                     const v1::ReadArtifactFileRequest& request,
                     const std::string& partial, uint64_t* offset,
                     const ProgressFunction& on_bytes) {
  std::ofstream file(partial, std::ios::binary | std::ios::app);
  if (!file) return ErrnoToStatus(errno, "open", partial);
  ScopedCall call(connection, absl::InfiniteDuration());
  const auto reader =
      connection.artifacts->ReadArtifactFile(call.context(), request);
  v1::ReadArtifactFileResponse response;
  absl::Status fault;
  while (fault.ok() && reader->Read(&response)) {
    if (response.offset() != *offset) {
      fault = absl::DataLossError(
          absl::StrCat(request.path(), ": server sent position ",
                       response.offset(), " instead of ", *offset));
      break;
    }
    file.write(response.data().data(),
               static_cast<std::streamsize>(response.data().size()));
    file.flush();
    if (!file) {
      fault = ErrnoToStatus(errno, "write", partial);
      break;
    }
    *offset += response.data().size();
    on_bytes(response.data().size());
  }
  if (!fault.ok()) call.context()->TryCancel();
  const grpc::Status status = reader->Finish();
  return fault.ok() ? connection.Convert(status) : fault;
}

}  // namespace

absl::StatusOr<v1::Artifact> Client::DownloadArtifact(
    absl::string_view name, const std::string& directory,
    const std::function<void(uint64_t, uint64_t)>& on_progress) {
  ASSIGN_OR_RETURN(v1::Artifact artifact, GetArtifact(name));
  uint64_t total = 0, done = 0;
  for (const v1::ArtifactFile& file : artifact.files()) {
    RETURN_IF_ERROR(CheckRelativePath(file.path()));
    total += file.size_bytes();
  }
  const auto advance = [&](uint64_t bytes) {
    done += bytes;
    if (on_progress) on_progress(done, total);
  };
  RETURN_IF_ERROR(CreateDirectories(directory));
  for (const v1::ArtifactFile& file : artifact.files()) {
    const std::string path = absl::StrCat(directory, "/", file.path());
    const absl::StatusOr<std::string> present = Sha256HexOfFile(path);
    if (present.ok() && *present == file.digest()) {
      advance(file.size_bytes());
      continue;
    }
    RETURN_IF_ERROR(
        CreateDirectories(std::filesystem::path(path).parent_path().string()));

    const std::string partial = PartialPath(path, file.digest());
    std::error_code missing;
    uint64_t offset = std::filesystem::file_size(partial, missing);
    if (missing || offset > file.size_bytes()) {
      std::filesystem::remove(partial, missing);
      offset = 0;
    }
    advance(offset);
    v1::ReadArtifactFileRequest request;
    request.set_name(artifact.name());
    request.set_path(file.path());
    Backoff backoff(options_);
    // The first round also creates files of no bytes.
    bool first = true;
    while (first || offset < file.size_bytes()) {
      first = false;
      const uint64_t before = offset;
      request.set_offset(offset);
      const absl::Status status =
          Receive(*connection_, request, partial, &offset, advance);
      if (offset > before) backoff.Reset();
      if (status.ok()) break;
      if (!absl::IsUnavailable(status) || backoff.Exhausted()) return status;
      if (!connection_->Pause(backoff.Next())) {
        return absl::CancelledError("the download was cancelled");
      }
    }

    ASSIGN_OR_RETURN(const std::string digest, Sha256HexOfFile(partial));
    if (digest != file.digest()) {
      std::error_code ignored;  // the next download starts afresh if it can
      std::filesystem::remove(partial, ignored);
      return absl::DataLossError(absl::StrCat(
          file.path(), ": received ", offset, " bytes with digest ", digest,
          ", the artifact has ", file.size_bytes(), " with ", file.digest()));
    }
    RETURN_IF_ERROR(SyncPath(partial));
    std::error_code error;
    std::filesystem::rename(partial, path, error);
    if (error) return ErrnoToStatus(error.value(), "rename", path);
    RETURN_IF_ERROR(
        SyncPath(std::filesystem::path(path).parent_path().string()));
  }
  return artifact;
}

}  // namespace quantd
