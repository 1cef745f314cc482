// The quantctl program behind main(), so that tests run it in-process.
#ifndef QUANTD_CLIENT_QUANTCTL_H_
#define QUANTD_CLIENT_QUANTCTL_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/command.h"
#include "client/exit_code.h"
#include "client/session.h"

namespace quantd {

// Parses and runs `arguments` (without the program's name). Everything is
// written to the environment's streams; errors as "quantctl: ..." lines.
ExitCode RunQuantctl(const std::vector<std::string>& arguments,
                     const Environment& environment);

// The parser with all commands, and the command objects it is bound to.
// `flags` must outlive it.
struct CommandLine {
  std::unique_ptr<CLI::App> app;
  std::vector<std::pair<CLI::App*, std::unique_ptr<Command>>> commands;
};
CommandLine BuildCommandLine(GlobalFlags* flags);

// Writes a failed status for people: field violations one per line, and a
// hint what to do.
void PrintError(Session& session, const std::string& server,
                const absl::Status& status);

}  // namespace quantd

#endif  // QUANTD_CLIENT_QUANTCTL_H_
