#include "server/resource_deletion.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "server/resource_names.h"

namespace quantd {

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
  return context.store->Commit(batch);
}

}  // namespace quantd
