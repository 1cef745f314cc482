#include "server/blob_references.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "quantd/v1/artifact.pb.h"
#include "quantd/v1/dataset.pb.h"

namespace quantd {
namespace {

// Calls `visit` with every message of `table`.
template <typename Message, typename Visit>
absl::Status ForEach(const MetadataStore& store, Table table, Visit visit) {
  absl::Status broken;
  RETURN_IF_ERROR(store.Scan(
      table, "", "", [&](absl::string_view key, absl::string_view value) {
        Message message;
        if (!message.ParseFromArray(value.data(),
                                    static_cast<int>(value.size()))) {
          broken = absl::DataLossError(absl::StrCat("the record ", key,
                                                    " does not parse as ",
                                                    message.GetTypeName()));
          return false;
        }
        visit(message);
        return true;
      }));
  return broken;
}

}  // namespace

absl::StatusOr<absl::flat_hash_set<std::string>> ReferencedBlobs(
    const MetadataStore& store) {
  absl::flat_hash_set<std::string> digests;
  RETURN_IF_ERROR(ForEach<v1::Artifact>(
      store, Table::kArtifacts, [&](const v1::Artifact& artifact) {
        for (const v1::ArtifactFile& file : artifact.files()) {
          digests.insert(file.digest());
        }
      }));
  RETURN_IF_ERROR(ForEach<v1::Dataset>(
      store, Table::kDatasets,
      [&](const v1::Dataset& dataset) { digests.insert(dataset.digest()); }));
  return digests;
}

}  // namespace quantd
