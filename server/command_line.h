// The flags of quantd's subcommands: "--data-dir DIR", "--data-dir=DIR" and
// "--data_dir DIR" are the same.
//
// Thread-safe: free functions.
#ifndef QUANTD_SERVER_COMMAND_LINE_H_
#define QUANTD_SERVER_COMMAND_LINE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "jobs/worker.h"
#include "server/server_options.h"

namespace quantd {

// InvalidArgument names the flag that is unknown, lacks its value, has a bad
// one, or is missing. `args` is what follows the subcommand.
absl::StatusOr<ServerOptions> ParseServeFlags(
    absl::Span<const std::string> args);
absl::StatusOr<WorkerOptions> ParseWorkerFlags(
    absl::Span<const std::string> args);

// One line per flag with its default.
std::string ServeFlagsHelp();

}  // namespace quantd

#endif  // QUANTD_SERVER_COMMAND_LINE_H_
