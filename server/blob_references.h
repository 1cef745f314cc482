// Which blobs the records of a store refer to.
#ifndef QUANTD_SERVER_BLOB_REFERENCES_H_
#define QUANTD_SERVER_BLOB_REFERENCES_H_

#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "storage/metadata_store.h"

namespace quantd {

// The digests of all files of artifacts and of all datasets. DataLoss when a
// record does not parse: then nothing may be deleted.
absl::StatusOr<absl::flat_hash_set<std::string>> ReferencedBlobs(
    const MetadataStore& store);

}  // namespace quantd

#endif  // QUANTD_SERVER_BLOB_REFERENCES_H_
