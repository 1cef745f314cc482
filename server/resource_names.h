// Names of resources: "models/llama-7b", or "llama-7b" where the collection
// is clear.
//
// Thread-safe: pure functions.
#ifndef QUANTD_SERVER_RESOURCE_NAMES_H_
#define QUANTD_SERVER_RESOURCE_NAMES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantd {

// [a-z0-9A-Z]([a-zA-Z0-9._-]{0,126}[a-zA-Z0-9])?
bool IsResourceId(absl::string_view text);

// The bare id of `name` in `collection` ("models"). InvalidArgument about
// `field` when it is neither "<collection>/<id>" nor "<id>".
absl::StatusOr<std::string> ResourceId(absl::string_view collection,
                                       absl::string_view name,
                                       absl::string_view field = "name");

}  // namespace quantd

#endif  // QUANTD_SERVER_RESOURCE_NAMES_H_
