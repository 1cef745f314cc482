#include "client/quantctl.h"

#include <algorithm>
#include <sstream>

#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "proto/field_rules.h"

namespace quantd {
namespace {

constexpr char kFooter[] =
    "Examples:\n"
    "  quantctl models add llama /models/llama\n"
    "  quantctl quantize llama --method gptq --set bits=3 \\\n"
    "      --calibration text.txt --name llama-3bit --wait\n"
    "  quantctl evaluate llama-3bit --metric ppl/gptq-512 \\\n"
    "      --text wiki.txt --wait --json\n"
    "\n";

constexpr char kCommandFooter[] =
    "Options of every command (--server, --json, --timeout, --quiet,\n"
    "--no-color) and exit codes: quantctl --help\n";

std::string Hint(const absl::Status& status, const std::string& server) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return absl::StrCat("is quantd running at ", server,
                          "? Start it with 'quantd serve --data-dir DIR', or "
                          "name another with --server or QUANTD_SERVER");
    case absl::StatusCode::kDeadlineExceeded:
      return "a longer --timeout may help";
    case absl::StatusCode::kNotFound:
      return "'quantctl models list', 'artifacts list', 'datasets list' and "
             "'jobs list' show what there is";
    case absl::StatusCode::kAlreadyExists:
      return "choose another name, or remove the old one first";
    case absl::StatusCode::kUnimplemented:
      return "the server may be older than this quantctl";
    default:
      return "";
  }
}

// Wrong usage: CLI11's message, and where to read on.
ExitCode PrintUsageError(const CLI::App& app, const Environment& environment,
                         const CLI::ParseError& error) {
  std::string path = "quantctl";
  for (const CLI::App* part = &app; part != nullptr;) {
    const auto chosen = part->get_subcommands();
    part = chosen.empty() ? nullptr : chosen[0];
    if (part != nullptr) absl::StrAppend(&path, " ", part->get_name());
  }
  *environment.err << "quantctl: " << error.what() << "\n"
                   << "hint: " << path << " --help\n";
  return ExitCode::kInvalidArgument;
}

}  // namespace

CommandLine BuildCommandLine(GlobalFlags* flags) {
  CommandLine line;
  line.app = std::make_unique<CLI::App>(
      "quantctl talks to a quantd server: it registers models, submits "
      "compression and evaluation jobs, and fetches results.",
      "quantctl");
  CLI::App& app = *line.app;
  app.fallthrough();  // global flags after the command too
  app.require_subcommand(1);
  app.footer(kCommandFooter);  // what commands without their own take over
  app.get_formatter()->column_width(34);
  app.add_option("--server", flags->server,
                 "Address of the server (environment: QUANTD_SERVER)")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_flag("--json", flags->json,
               "JSON on standard output: one object, or one per line");
  app.add_option("--timeout", flags->timeout_seconds,
                 "Deadline of one call to the server, in seconds; waiting "
                 "for a job has none")
      ->type_name("SECONDS")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("-q,--quiet", flags->quiet, "No progress and no hints");
  app.add_flag("--no-color", flags->no_color,
               "No colours (environment: NO_COLOR)");
  for (const CommandGroup& group : CommandTable()) {
    CLI::App* parent = &app;
    if (*group.name != '\0') {
      parent = app.add_subcommand(group.name, group.help);
      parent->require_subcommand(1);
    }
    for (const CommandRow& row : group.commands) {
      CLI::App* child = parent->add_subcommand(row.name, row.help);
      if (row.hidden) child->group("");
      std::unique_ptr<Command> command = row.create();
      command->Define(*child);
      line.commands.emplace_back(child, std::move(command));
    }
  }
  app.footer(absl::StrCat(kFooter, kExitCodesHelp));
  return line;
}

void PrintError(Session& session, const std::string& server,
                const absl::Status& status) {
  const std::string prefix = session.ErrColor(Color::kRed, "quantctl:");
  const auto violations = ViolationsOf(status);
  if (violations.empty()) {
    session.err() << prefix << " " << status.message() << "\n";
  } else {
    session.err() << prefix << " invalid request\n";
    for (const FieldViolation& violation : violations) {
      session.err() << "  " << violation.field << ": " << violation.description
                    << "\n";
    }
  }
  const std::string hint = Hint(status, server);
  if (!hint.empty()) session.Note(absl::StrCat("hint: ", hint));
}

ExitCode RunQuantctl(const std::vector<std::string>& arguments,
                     const Environment& environment) {
  GlobalFlags flags;
  if (!environment.server.empty()) flags.server = environment.server;
  CommandLine line = BuildCommandLine(&flags);
  try {
    // CLI11 wants the arguments last first.
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    line.app->parse(std::move(reversed));
  } catch (const CLI::Success& help) {
    line.app->exit(help, *environment.out, *environment.err);
    return ExitCode::kOk;
  } catch (const CLI::ParseError& error) {
    return PrintUsageError(*line.app, environment, error);
  }
  Session session(environment, flags);
  for (auto& [app, command] : line.commands) {
    if (!app->parsed()) continue;
    const absl::StatusOr<ExitCode> code = command->Run(session);
    environment.out->flush();
    if (!code.ok()) {
      PrintError(session, flags.server, code.status());
      return ExitCodeOf(code.status());
    }
    if (!*environment.out) {
      *environment.err << "quantctl: cannot write the output\n";
      return ExitCode::kOther;
    }
    return *code;
  }
  return ExitCode::kInvalidArgument;  // require_subcommand() excludes this
}

}  // namespace quantd
