// Content-addressed blobs: a file is named by the SHA-256 of its bytes, is
// written whole or not at all, and never changes.
//
//   <root>/blobs/ab/ab12...   the bytes, mode 0444
//   <root>/incoming/          temporary names, emptied on open
//
// Publishing: temporary name, fsync of the file, rename, fsync of the
// directory. Identical content is stored once.
//
// Thread-safe.
#ifndef QUANTD_STORAGE_ARTIFACT_STORE_H_
#define QUANTD_STORAGE_ARTIFACT_STORE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/blob_holds.h"

namespace quantd {

// Receives the bytes of one blob. Destroying an unfinished writer removes its
// temporary file.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  // ResourceExhausted when the disk is full.
  virtual absl::Status Append(absl::string_view bytes) = 0;
  // Publishes the blob and returns its digest. When `expected_digest` is not
  // empty and differs: InvalidArgument with both, nothing is published.
  virtual absl::StatusOr<std::string> Finish(
      absl::string_view expected_digest) = 0;
};

class ArtifactStore {
 public:
  virtual ~ArtifactStore() = default;

  virtual absl::StatusOr<std::unique_ptr<BlobWriter>> NewWriter() = 0;

  // Takes the file at `path` over into the store (rename where possible, copy
  // otherwise; the source is gone afterwards) after checking that its bytes
  // have `expected_digest`; DataLoss if not. If the blob exists already the
  // source is just removed.
  virtual absl::Status Adopt(const std::string& path,
                             absl::string_view expected_digest) = 0;

  // Absolute path of a published blob, for reading and mapping. NotFound.
  virtual absl::StatusOr<std::string> PathOf(
      absl::string_view digest) const = 0;

  // Re-reads the blob and compares its digest. DataLoss names the blob.
  virtual absl::Status Verify(absl::string_view digest) const = 0;

  virtual absl::StatusOr<uint64_t> SizeOf(absl::string_view digest) const = 0;
  virtual absl::StatusOr<std::vector<std::string>> List() const = 0;
  virtual absl::Status Delete(absl::string_view digest) = 0;

  // Deletes every blob that is not in `referenced` and returns the bytes
  // reclaimed. Call only when no writer is between Finish() and the commit of
  // the record that refers to its blob (on start).
  virtual absl::StatusOr<uint64_t> Reclaim(
      const absl::flat_hash_set<std::string>& referenced) = 0;

  // Taken by whoever makes a blob, from before it is made until the record
  // that refers to it is committed; asked by whoever deletes one.
  BlobHolds& holds() { return holds_; }

 private:
  BlobHolds holds_;
};

// On the local file system under `root`, created if absent.
// PermissionDenied / ResourceExhausted when it cannot be written.
absl::StatusOr<std::unique_ptr<ArtifactStore>> OpenFileArtifactStore(
    const std::string& root);

}  // namespace quantd

#endif  // QUANTD_STORAGE_ARTIFACT_STORE_H_
