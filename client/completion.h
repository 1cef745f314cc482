// Shell completion, derived from the command table: commands and options are
// written into the script, names are asked for with "quantctl __complete".
//
// An argument's type name says what completes it: MODEL, ARTIFACT, TARGET,
// DATASET, METHOD, METRIC, JOB, EVALUATION by name; FILE, DIR, FILE|DATASET,
// STATE, SHELL as they say; a POINT begins with a method; anything else by
// nothing.
#ifndef QUANTD_CLIENT_COMPLETION_H_
#define QUANTD_CLIENT_COMPLETION_H_

#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/string_view.h"

namespace quantd {

// One command as the shell sees it.
struct CompletionEntry {
  std::string path;                  // "jobs list", "" for the program
  std::vector<std::string> words;    // subcommands
  std::vector<std::string> options;  // "--method", "--wait"
  // Type names of the options that take a value, and of the positionals.
  std::vector<std::pair<std::string, std::string>> values;
  std::vector<std::string> arguments;
};

// All commands below `app`, hidden ones left out. Global options are part of
// every entry.
std::vector<CompletionEntry> CompletionEntries(const CLI::App& app);

// Scripts to be evaluated by the shell.
std::string BashCompletion(const std::vector<CompletionEntry>& entries);
std::string ZshCompletion(const std::vector<CompletionEntry>& entries);

}  // namespace quantd

#endif  // QUANTD_CLIENT_COMPLETION_H_
