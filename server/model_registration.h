// Opens a checkpoint directory and writes down what it holds.
//
// Thread-safe: free functions.
#ifndef QUANTD_SERVER_MODEL_REGISTRATION_H_
#define QUANTD_SERVER_MODEL_REGISTRATION_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "quantd/v1/model.pb.h"

namespace quantd {

// `path` in its shortest form. InvalidArgument when it is relative;
// PermissionDenied when it, with symbolic links resolved, lies below none of
// `roots` (an empty list allows every path).
absl::StatusOr<std::string> CheckModelPath(
    const std::string& path, const std::vector<std::string>& roots);

// A Model with path and all output-only fields except create_time.
// InvalidArgument about "path" names the broken or missing file and its
// fault; Unimplemented an architecture or tokenizer that this build has not.
absl::StatusOr<v1::Model> DescribeModelDirectory(const std::string& path);

}  // namespace quantd

#endif  // QUANTD_SERVER_MODEL_REGISTRATION_H_
