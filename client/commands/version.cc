// quantctl version
#include "base/version.h"

#include <string>

#include "client/command.h"
#include "client/message_json.h"

namespace quantd {
namespace {

class PrintVersion : public Command {
 public:
  void Define(CLI::App& app) override {}

  absl::StatusOr<ExitCode> Run(Session& session) override {
    if (session.json()) {
      session.PrintJson(Json{{"version", std::string(Version())}});
    } else {
      session.out() << "quantctl " << Version() << "\n";
    }
    return ExitCode::kOk;
  }
};

}  // namespace

CommandGroup VersionCommands() {
  return {"",
          "",
          {{"version", "Print the version of this program",
            MakeCommand<PrintVersion>}}};
}

}  // namespace quantd
