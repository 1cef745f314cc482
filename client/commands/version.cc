// quantctl version
#include "client/command.h"
#include "client/message_json.h"

namespace quantd {
namespace {

class Version : public Command {
 public:
  void Define(CLI::App& app) override {}

  absl::StatusOr<ExitCode> Run(Session& session) override {
    if (session.json()) {
      session.PrintJson(Json{{"version", QUANTD_VERSION}});
    } else {
      session.out() << "quantctl " << QUANTD_VERSION << "\n";
    }
    return ExitCode::kOk;
  }
};

}  // namespace

CommandGroup VersionCommands() {
  return {
      "",
      "",
      {{"version", "Print the version of this program", MakeCommand<Version>}}};
}

}  // namespace quantd
