// Which blobs the records of a store refer to, and the end of those that none
// refers to any more.
//
// Thread-safe: free functions over thread-safe arguments.
#ifndef QUANTD_SERVER_BLOB_REFERENCES_H_
#define QUANTD_SERVER_BLOB_REFERENCES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/artifact_store.h"
#include "storage/metadata_store.h"

namespace quantd {

// The digests of all files of an artifact, or of a dataset; none for a record
// of another table. DataLoss when the record does not parse.
absl::StatusOr<std::vector<std::string>> BlobsOf(Table table,
                                                 absl::string_view key,
                                                 absl::string_view record);

// The digests of all files of artifacts and of all datasets. DataLoss when a
// record does not parse: then nothing may be deleted.
absl::StatusOr<absl::flat_hash_set<std::string>> ReferencedBlobs(
    const MetadataStore& store);

// Deletes those of `digests` that no record refers to and that nobody is about
// to refer to (blob_holds.h), and returns the bytes that became free. Reads
// the records of all artifacts and datasets.
absl::StatusOr<uint64_t> FreeBlobs(const MetadataStore& store,
                                   const std::vector<std::string>& digests,
                                   ArtifactStore* artifacts);

}  // namespace quantd

#endif  // QUANTD_SERVER_BLOB_REFERENCES_H_
