// Deleting the record of a resource that jobs may read.
//
// Thread-safe: a free function over thread-safe arguments.
#ifndef QUANTD_SERVER_RESOURCE_DELETION_H_
#define QUANTD_SERVER_RESOURCE_DELETION_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/service_context.h"
#include "storage/metadata_store.h"

namespace quantd {

// Removes `name` ("models/x" or "x") from `table`. NotFound when there is
// none; FailedPrecondition names a job that has not ended and reads it. A job
// that is submitted at the same moment may still find it and then fails with
// NotFound when it starts.
//
// The bytes of its blobs are free when this returns, except of those that
// another record refers to or a job is publishing just now. Should freeing
// them fail, the log says so and the next start reclaims them.
absl::Status DeleteResource(const ServiceContext& context, Table table,
                            absl::string_view collection,
                            absl::string_view name);

}  // namespace quantd

#endif  // QUANTD_SERVER_RESOURCE_DELETION_H_
