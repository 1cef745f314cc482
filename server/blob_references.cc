#include "server/blob_references.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "quantd/v1/artifact.pb.h"
#include "quantd/v1/dataset.pb.h"

namespace quantd {
namespace {

using Digests = std::vector<std::string>;

Digests DigestsOf(const v1::Artifact& artifact) {
  Digests digests;
  for (const v1::ArtifactFile& file : artifact.files()) {
    digests.push_back(file.digest());
  }
  return digests;
}

Digests DigestsOf(const v1::Dataset& dataset) { return {dataset.digest()}; }

template <typename Message>
absl::StatusOr<Digests> ParseDigests(absl::string_view key,
                                     absl::string_view record) {
  Message message;
  if (!message.ParseFromArray(record.data(), static_cast<int>(record.size()))) {
    return absl::DataLossError(absl::StrCat(
        "the record ", key, " does not parse as ", message.GetTypeName()));
  }
  return DigestsOf(message);
}

// The tables whose records refer to blobs.
struct ReferringTable {
  Table table;
  absl::StatusOr<Digests> (*parse)(absl::string_view key,
                                   absl::string_view record);
};
constexpr ReferringTable kReferringTables[] = {
    {Table::kArtifacts, &ParseDigests<v1::Artifact>},
    {Table::kDatasets, &ParseDigests<v1::Dataset>},
};

}  // namespace

absl::StatusOr<std::vector<std::string>> BlobsOf(Table table,
                                                 absl::string_view key,
                                                 absl::string_view record) {
  for (const ReferringTable& row : kReferringTables) {
    if (row.table == table) return row.parse(key, record);
  }
  return Digests();
}

absl::StatusOr<absl::flat_hash_set<std::string>> ReferencedBlobs(
    const MetadataStore& store) {
  absl::flat_hash_set<std::string> referenced;
  for (const ReferringTable& row : kReferringTables) {
    absl::Status broken;
    RETURN_IF_ERROR(store.Scan(
        row.table, "", "",
        [&](absl::string_view key, absl::string_view record) {
          const absl::StatusOr<Digests> digests = row.parse(key, record);
          broken = digests.status();
          if (!digests.ok()) return false;
          referenced.insert(digests->begin(), digests->end());
          return true;
        }));
    RETURN_IF_ERROR(broken);
  }
  return referenced;
}

absl::StatusOr<uint64_t> FreeBlobs(const MetadataStore& store,
                                   const std::vector<std::string>& digests,
                                   ArtifactStore* artifacts) {
  // Before the records are read: whoever refers to one of these from here on
  // waits, and whoever did before has committed.
  const BlobHolds::Removal removal = artifacts->holds().TryRemove(digests);
  ASSIGN_OR_RETURN(const absl::flat_hash_set<std::string> referenced,
                   ReferencedBlobs(store));
  uint64_t freed = 0;
  for (const std::string& digest : removal.digests()) {
    if (referenced.contains(digest)) continue;
    const absl::StatusOr<uint64_t> size = artifacts->SizeOf(digest);
    if (absl::IsNotFound(size.status())) continue;
    RETURN_IF_ERROR(size.status());
    RETURN_IF_ERROR(artifacts->Delete(digest));
    freed += *size;
  }
  return freed;
}

}  // namespace quantd
