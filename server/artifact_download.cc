#include "server/artifact_download.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "server/resource_lookup.h"

namespace quantd {
namespace {

absl::StatusOr<v1::ArtifactFile> FindFile(const v1::Artifact& artifact,
                                          const std::string& path) {
  for (const v1::ArtifactFile& file : artifact.files()) {
    if (file.path() == path) return file;
  }
  return absl::NotFoundError(
      absl::StrCat(artifact.name(), " has no file ", path));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArtifactDownload>> ArtifactDownload::Open(
    const MetadataStore& store, const ArtifactStore& artifacts,
    const v1::ReadArtifactFileRequest& request) {
  v1::Artifact artifact;
  RETURN_IF_ERROR(GetResource(store, Table::kArtifacts, "artifacts",
                              request.name(), &artifact));
  ASSIGN_OR_RETURN(const v1::ArtifactFile file,
                   FindFile(artifact, request.path()));
  if (request.offset() > file.size_bytes()) {
    return absl::OutOfRangeError(absl::StrCat("offset ", request.offset(),
                                              ", the file has ",
                                              file.size_bytes(), " bytes"));
  }
  RETURN_IF_ERROR(Annotate(artifacts.Verify(file.digest()), artifact.name(),
                           "/", file.path()));
  ASSIGN_OR_RETURN(const std::string path, artifacts.PathOf(file.digest()));
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoToStatus(errno, "open", path);
  return std::unique_ptr<ArtifactDownload>(
      new ArtifactDownload(fd, request.offset()));
}

ArtifactDownload::~ArtifactDownload() { ::close(fd_); }

absl::StatusOr<bool> ArtifactDownload::Next(
    v1::ReadArtifactFileResponse* chunk) {
  std::string* data = chunk->mutable_data();
  data->resize(kChunkBytes);
  ssize_t n = 0;
  do {
    n = ::pread(fd_, data->data(), data->size(), static_cast<off_t>(offset_));
  } while (n < 0 && errno == EINTR);
  if (n < 0) return ErrnoToStatus(errno, "read", "artifact file");
  data->resize(static_cast<size_t>(n));
  chunk->set_offset(offset_);
  offset_ += static_cast<uint64_t>(n);
  return n > 0;
}

}  // namespace quantd
