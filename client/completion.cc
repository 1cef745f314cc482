#include "client/completion.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "quantd/v1/job.pb.h"

namespace quantd {
namespace {

// What a type name completes to: words, or a function of the script.
struct Source {
  const char* type;
  const char* names;  // argument of "quantctl __complete", or null
  const char* files;  // "files", "directories", or null
};

constexpr Source kSources[] = {
    {"MODEL", "models", nullptr},
    {"ARTIFACT", "artifacts", nullptr},
    {"TARGET", "targets", nullptr},
    {"DATASET", "datasets", nullptr},
    {"METHOD", "methods", nullptr},
    {"POINT", "methods", nullptr},
    {"METRIC", "metrics", nullptr},
    {"TASK", "tasks", "files"},
    {"DIR|FILE|DATASET", "datasets", "files"},
    {"JOB", "jobs", nullptr},
    {"EVALUATION", "evaluations", nullptr},
    {"STATE", "states", nullptr},
    {"SHELL", "shells", nullptr},
    {"FILE", nullptr, "files"},
    {"DIR", nullptr, "directories"},
    {"FILE|DATASET", "datasets", "files"},
};

// The shell command that fills in a value of `type`, or empty.
std::string Action(absl::string_view type) {
  for (const Source& source : kSources) {
    if (type != source.type) continue;
    std::vector<std::string> actions;
    if (source.names != nullptr) {
      actions.push_back(absl::StrCat("_quantctl_names ", source.names));
    }
    if (source.files != nullptr) {
      actions.push_back(absl::StrCat("_quantctl_", source.files));
    }
    return absl::StrJoin(actions, "; ");
  }
  return "";
}

void AddOptions(const CLI::App& app, CompletionEntry* entry) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_positional()) {
      entry->arguments.push_back(option->get_type_name());
      continue;
    }
    for (const std::string& name : option->get_lnames()) {
      entry->options.push_back(absl::StrCat("--", name));
      if (option->get_items_expected_max() > 0) {
        entry->values.emplace_back(absl::StrCat("--", name),
                                   option->get_type_name());
      }
    }
  }
}

void AddEntries(const CLI::App& app, const std::string& path,
                const CompletionEntry& global,
                std::vector<CompletionEntry>& entries) {
  CompletionEntry entry = global;
  entry.path = path;
  if (!path.empty()) AddOptions(app, &entry);
  std::sort(entry.options.begin(), entry.options.end());
  entry.options.erase(std::unique(entry.options.begin(), entry.options.end()),
                      entry.options.end());
  std::vector<const CLI::App*> children;
  for (const CLI::App* child : app.get_subcommands(nullptr)) {
    if (child->get_group().empty()) continue;  // hidden
    entry.words.push_back(child->get_name());
    children.push_back(child);
  }
  entries.push_back(entry);
  for (const CLI::App* child : children) {
    AddEntries(*child,
               path.empty() ? child->get_name()
                            : absl::StrCat(path, " ", child->get_name()),
               global, entries);
  }
}

// The body that both shells share: finds the command among the words before
// the cursor, counts its arguments, and sets words or calls an action.
// Variables: command (path of commands so far), count (arguments so far),
// current and previous (word under the cursor and before it).
std::string SharedBody(const std::vector<CompletionEntry>& entries) {
  std::string body = "  case \"$command:$previous\" in\n";
  for (const CompletionEntry& entry : entries) {
    for (const auto& [option, type] : entry.values) {
      const std::string action = Action(type);
      absl::StrAppend(&body, "    '", entry.path, ":", option, "') ",
                      action.empty() ? ":" : action, "; return ;;\n");
    }
  }
  absl::StrAppend(&body,
                  "  esac\n"
                  "  case \"$current\" in\n"
                  "    -*)\n"
                  "      case \"$command\" in\n");
  for (const CompletionEntry& entry : entries) {
    absl::StrAppend(&body, "        '", entry.path, "') _quantctl_words ",
                    absl::StrJoin(entry.options, " "), " ;;\n");
  }
  absl::StrAppend(&body,
                  "      esac\n"
                  "      return ;;\n"
                  "  esac\n"
                  "  case \"$command:$count\" in\n");
  for (const CompletionEntry& entry : entries) {
    if (!entry.words.empty()) {
      absl::StrAppend(&body, "    '", entry.path, ":0') _quantctl_words ",
                      absl::StrJoin(entry.words, " "), " ;;\n");
    }
    for (size_t i = 0; i < entry.arguments.size(); ++i) {
      const std::string action = Action(entry.arguments[i]);
      if (action.empty()) continue;
      absl::StrAppend(&body, "    '", entry.path, ":", i, "') ", action,
                      " ;;\n");
    }
  }
  absl::StrAppend(&body, "  esac\n");
  return body;
}

// Walks the words before the cursor: commands extend the path, options skip
// their value, the rest are arguments.
std::string WalkBody(const std::vector<CompletionEntry>& entries,
                     absl::string_view begin) {
  std::vector<std::string> paths, valued;
  for (const CompletionEntry& entry : entries) {
    if (!entry.path.empty()) {
      paths.push_back(absl::StrCat("'", entry.path, "'"));
    }
    for (const auto& value : entry.values) {
      if (std::find(valued.begin(), valued.end(), value.first) ==
          valued.end()) {
        valued.push_back(value.first);
      }
    }
  }
  return absl::StrCat(begin,
                      "    word=\"${words[i]}\"\n"
                      "    if [ -n \"$skip\" ]; then skip=''; continue; fi\n"
                      "    case \"$word\" in\n"
                      "      ",
                      absl::StrJoin(valued, "|"), ") skip=1; continue ;;\n",
                      "      -*) continue ;;\n"
                      "    esac\n"
                      "    case \"${command:+$command }$word\" in\n"
                      "      ",
                      absl::StrJoin(paths, "|"),
                      ")\n"
                      "        if [ \"$count\" -eq 0 ]; then "
                      "command=\"${command:+$command }$word\"; "
                      "continue; fi ;;\n"
                      "    esac\n"
                      "    count=$((count + 1))\n"
                      "  done\n");
}

}  // namespace

std::vector<CompletionEntry> CompletionEntries(const CLI::App& app) {
  CompletionEntry global;
  AddOptions(app, &global);
  std::vector<CompletionEntry> entries;
  AddEntries(app, "", global, entries);
  return entries;
}

std::string BashCompletion(const std::vector<CompletionEntry>& entries) {
  return absl::StrCat(
      "# bash completion of quantctl. Load it with\n"
      "#   source <(quantctl completion bash)\n"
      "_quantctl_words() {\n"
      "  COMPREPLY+=($(compgen -W \"$*\" -- \"$current\"))\n"
      "}\n"
      "_quantctl_names() {\n"
      "  _quantctl_words \"$(\"${words[0]}\" __complete \"$1\" "
      "${server:+--server \"$server\"} 2>/dev/null)\"\n"
      "}\n"
      "_quantctl_files() {\n"
      "  compopt -o filenames 2>/dev/null || :\n"
      "  local name\n"
      "  while IFS= read -r name; do COMPREPLY+=(\"$name\"); "
      "done < <(compgen -f -- \"$current\")\n"
      "}\n"
      "_quantctl_directories() {\n"
      "  compopt -o filenames 2>/dev/null || :\n"
      "  local name\n"
      "  while IFS= read -r name; do COMPREPLY+=(\"$name\"); "
      "done < <(compgen -d -- \"$current\")\n"
      "}\n"
      "_quantctl() {\n"
      // Readline splits at = and : too; HOST:PORT, KEY=VALUE and
      // --option=value are put together again.
      "  local words=() cword=0 current previous command='' count=0 skip='' "
      "word server='' i\n"
      "  local line=\"${COMP_LINE:0:COMP_POINT}\"\n"
      "  read -r -a words <<< \"$line\"\n"
      "  case \"$line\" in *[[:space:]]) words+=('') ;; esac\n"
      "  cword=$((${#words[@]} - 1))\n"
      "  current=\"${words[cword]}\"\n"
      "  previous=\"${words[cword-1]}\"\n"
      "  COMPREPLY=()\n",
      WalkBody(entries,
               "  for ((i = 1; i < cword; i++)); do\n"
               "    if [ \"${words[i-1]}\" = --server ]; then "
               "server=\"${words[i]}\"; fi\n"),
      SharedBody(entries),
      "}\n"
      "complete -F _quantctl quantctl\n");
}

std::string ZshCompletion(const std::vector<CompletionEntry>& entries) {
  return absl::StrCat(
      "#compdef quantctl\n"
      "# zsh completion of quantctl. Load it with\n"
      "#   source <(quantctl completion zsh)\n"
      "_quantctl_words() {\n"
      "  compadd -- \"$@\"\n"
      "}\n"
      "_quantctl_names() {\n"
      "  local -a names\n"
      "  names=(${(f)\"$(\"$program\" __complete \"$1\" "
      "${server:+--server} ${server:+\"$server\"} 2>/dev/null)\"})\n"
      "  compadd -- $names\n"
      "}\n"
      "_quantctl_files() {\n"
      "  _files\n"
      "}\n"
      "_quantctl_directories() {\n"
      "  _files -/\n"
      "}\n"
      "_quantctl() {\n"
      "  local current previous word program server='' skip='' command=''\n"
      "  local -i i count=0\n"
      "  program=${words[1]}\n"
      "  current=${words[CURRENT]}\n"
      "  previous=${words[CURRENT-1]}\n",
      WalkBody(entries,
               "  for ((i = 2; i < CURRENT; i++)); do\n"
               "    if [ \"${words[i-1]}\" = --server ]; then "
               "server=\"${words[i]}\"; fi\n"),
      SharedBody(entries),
      "}\n"
      "compdef _quantctl quantctl\n");
}

}  // namespace quantd
