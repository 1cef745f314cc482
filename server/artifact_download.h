// Reads one file of an artifact from an offset, piece by piece, after its
// bytes were compared with their digest.
//
// Knows nothing of gRPC. Confined to one thread at a time.
#ifndef QUANTD_SERVER_ARTIFACT_DOWNLOAD_H_
#define QUANTD_SERVER_ARTIFACT_DOWNLOAD_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "quantd/v1/artifact.pb.h"
#include "storage/artifact_store.h"
#include "storage/metadata_store.h"

namespace quantd {

class ArtifactDownload {
 public:
  static constexpr size_t kChunkBytes = size_t{256} << 10;

  // NotFound: no such artifact, or no such file in it. DataLoss: the stored
  // bytes are not those of the digest. OutOfRange: the offset lies beyond the
  // end (the end itself is fine: nothing follows).
  static absl::StatusOr<std::unique_ptr<ArtifactDownload>> Open(
      const MetadataStore& store, const ArtifactStore& artifacts,
      const v1::ReadArtifactFileRequest& request);
  ~ArtifactDownload();
  ArtifactDownload(const ArtifactDownload&) = delete;
  ArtifactDownload& operator=(const ArtifactDownload&) = delete;

  // Fills the next chunk; false at the end of the file.
  absl::StatusOr<bool> Next(v1::ReadArtifactFileResponse* chunk);

 private:
  ArtifactDownload(int fd, uint64_t offset) : fd_(fd), offset_(offset) {}

  const int fd_;
  uint64_t offset_;
};

}  // namespace quantd

#endif  // QUANTD_SERVER_ARTIFACT_DOWNLOAD_H_
