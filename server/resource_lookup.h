// Reading the record of a resource by its name.
#ifndef QUANTD_SERVER_RESOURCE_LOOKUP_H_
#define QUANTD_SERVER_RESOURCE_LOOKUP_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "google/protobuf/message_lite.h"
#include "server/resource_names.h"
#include "storage/metadata_store.h"

namespace quantd {

// Fills `record` with `name` ("models/x" or "x") of `table`. NotFound names
// the resource; InvalidArgument is about `field`.
inline absl::Status GetResource(const MetadataStore& store, Table table,
                                absl::string_view collection,
                                absl::string_view name,
                                google::protobuf::MessageLite* record,
                                absl::string_view field = "name") {
  ASSIGN_OR_RETURN(const std::string id, ResourceId(collection, name, field));
  const absl::Status found = store.Get(table, id, record);
  if (absl::IsNotFound(found)) {
    return absl::NotFoundError(
        absl::StrCat("there is no ", collection, "/", id));
  }
  return found;
}

}  // namespace quantd

#endif  // QUANTD_SERVER_RESOURCE_LOOKUP_H_
