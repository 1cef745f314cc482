// The commands of quantctl are rows of a table; parsing, help and shell
// completion are derived from it.
//
// To add one: a class with Define() and Run() in client/commands/, and a row
// in that file's group.
#ifndef QUANTD_CLIENT_COMMAND_H_
#define QUANTD_CLIENT_COMMAND_H_

#include <memory>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/statusor.h"
#include "client/exit_code.h"
#include "client/session.h"

namespace quantd {

// One command, made anew for every run of the program.
class Command {
 public:
  virtual ~Command() = default;

  // Adds arguments and options, bound to members. Their type names say what
  // they take ("MODEL", "FILE") in the help and to the shell completion
  // (client/completion.h).
  virtual void Define(CLI::App& app) = 0;

  // REQUIRES: Define() was called and the arguments were parsed.
  virtual absl::StatusOr<ExitCode> Run(Session& session) = 0;
};

struct CommandRow {
  const char* name;
  const char* help;
  std::unique_ptr<Command> (*create)();
  // Not shown in help and completion.
  bool hidden = false;
};

// "models add", "models list", ...; the group without a name holds the
// commands of one word.
struct CommandGroup {
  const char* name;
  const char* help;
  std::vector<CommandRow> commands;
};

template <typename T>
std::unique_ptr<Command> MakeCommand() {
  return std::make_unique<T>();
}

// All groups, in the order of the help text; client/commands/.
std::vector<CommandGroup> CommandTable();

CommandGroup ArtifactCommands();
CommandGroup CompareCommands();
CommandGroup CompletionCommands();
CommandGroup ContaminationCommands();
CommandGroup DatasetCommands();
CommandGroup EvaluateCommands();
CommandGroup EvaluationCommands();
CommandGroup GenerateCommands();
CommandGroup JobCommands();
CommandGroup MethodCommands();
CommandGroup MetricCommands();
CommandGroup ModelCommands();
CommandGroup QuantizeCommands();
CommandGroup ReportCommands();
CommandGroup SweepCommands();
CommandGroup TaskCommands();
CommandGroup VersionCommands();

}  // namespace quantd

#endif  // QUANTD_CLIENT_COMMAND_H_
