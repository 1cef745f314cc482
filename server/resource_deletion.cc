#include "server/resource_deletion.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/blob_references.h"
#include "server/resource_names.h"

namespace quantd {
namespace {

absl::Status FreeBlobsOf(const ServiceContext& context, Table table,
                         const std::string& full_name, absl::string_view id,
                         absl::string_view record) {
  // A job that was submitted while the record was being deleted may have
  // found it and have opened its files; the next start frees them.
  if (!context.jobs()->ReaderOf(full_name).empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<std::string> digests,
                   BlobsOf(table, id, record));
  if (digests.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const uint64_t bytes,
                   FreeBlobs(*context.store, digests, context.artifacts));
  context.log->Info("freed", "a deleted resource gave its bytes back",
                    {{"resource", full_name}, {"bytes", bytes}});
  return absl::OkStatus();
}

}  // namespace

absl::Status DeleteResource(const ServiceContext& context, Table table,
                            absl::string_view collection,
                            absl::string_view name) {
  ASSIGN_OR_RETURN(const std::string id, ResourceId(collection, name));
  const std::string full_name = absl::StrCat(collection, "/", id);
  const absl::StatusOr<std::string> record = context.store->GetBytes(table, id);
  if (absl::IsNotFound(record.status())) {
    return absl::NotFoundError(absl::StrCat("there is no ", full_name));
  }
  RETURN_IF_ERROR(record.status());
  const std::string reader = context.jobs()->ReaderOf(full_name);
  if (!reader.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(full_name, " is read by ", reader,
                     ", which has not ended; cancel it first"));
  }
  MetadataBatch batch;
  batch.Delete(table, id);
  RETURN_IF_ERROR(context.store->Commit(batch));
  if (absl::Status freed = FreeBlobsOf(context, table, full_name, id, *record);
      !freed.ok()) {
    // The deletion itself is done and durable.
    context.log->Warning("not_freed", freed.message(),
                         {{"resource", full_name}});
  }
  return absl::OkStatus();
}

}  // namespace quantd
