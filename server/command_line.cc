#include "server/command_line.h"

#include <cstdlib>
#include <functional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/byte_size.h"
#include "base/status_macros.h"
#include "jobs/local_executor.h"

namespace quantd {
namespace {

// One flag of a subcommand whose options are an Options. A flag without
// `value_name` is a switch: its value may be left out and is then "true".
template <typename Options>
struct Flag {
  const char* name;
  const char* value_name;
  const char* help;
  std::string default_value;
  std::function<absl::Status(absl::string_view value, Options& options)> set;
};

absl::Status ParseInt(absl::string_view text, int min, int max, int* value) {
  if (absl::SimpleAtoi(text, value) && *value >= min && *value <= max) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", text, "\" is not a whole number from ", min, " to ", max));
}

absl::Status ParseSeconds(absl::string_view text, double min,
                          absl::Duration* value) {
  constexpr double kMax = 86400;
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds) && seconds >= min && seconds <= kMax) {
    *value = absl::Seconds(seconds);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", text, "\" is not a number of seconds from ", min, " to ", kMax));
}

std::string SecondsText(absl::Duration duration) {
  return absl::StrCat(absl::ToDoubleSeconds(duration));
}

std::vector<Flag<ServerOptions>> ServeFlags() {
  const ServerOptions defaults;
  return {
      {"data-dir", "DIR",
       "Directory for everything the server keeps (required)", "",
       [](absl::string_view value, ServerOptions& options) {
         options.data_directory = std::string(value);
         return absl::OkStatus();
       }},
      {"listen", "HOST:PORT", "Address of the gRPC services; port 0 = any",
       defaults.listen,
       [](absl::string_view value, ServerOptions& options) {
         options.listen = std::string(value);
         return absl::OkStatus();
       }},
      {"metrics-listen", "HOST:PORT",
       "HTTP address of /metrics, /livez and /readyz; empty = none",
       defaults.metrics_listen,
       [](absl::string_view value, ServerOptions& options) {
         options.metrics_listen = std::string(value);
         return absl::OkStatus();
       }},
      {"slots", "N", "Jobs that run at once", absl::StrCat(defaults.slots),
       [](absl::string_view value, ServerOptions& options) {
         return ParseInt(value, 1, 1024, &options.slots);
       }},
      {"job-memory", "SIZE",
       "Memory a job may use, for example 8G; a job that needs more is "
       "refused. auto = 80 % of the machine's memory or of the control "
       "group's limit, over the slots",
       "auto",
       [](absl::string_view value, ServerOptions& options) {
         if (value == "auto") {
           options.job_memory_bytes = 0;
           return absl::OkStatus();
         }
         ASSIGN_OR_RETURN(options.job_memory_bytes, ParseByteSize(value));
         if (options.job_memory_bytes == 0) {
           return absl::InvalidArgumentError("a job cannot do without memory");
         }
         return absl::OkStatus();
       }},
      {"statistics-cache", "SIZE",
       "Calibration statistics kept for later jobs on the same model and "
       "text, for example 4G; 0 = none",
       "4G",
       [](absl::string_view value, ServerOptions& options) {
         ASSIGN_OR_RETURN(options.statistics_bytes, ParseByteSize(value));
         return absl::OkStatus();
       }},
      {"score-cache", "SIZE",
       "Scores of token sequences kept, so that an evaluation goes on where it "
       "was interrupted and none is made twice, for example 1G; 0 = none",
       "1G",
       [](absl::string_view value, ServerOptions& options) {
         ASSIGN_OR_RETURN(options.score_bytes, ParseByteSize(value));
         return absl::OkStatus();
       }},
      {"lease-seconds", "S",
       "A worker that is silent for so long has lost its attempt",
       SecondsText(defaults.lease),
       [](absl::string_view value, ServerOptions& options) {
         return ParseSeconds(value, 1, &options.lease);
       }},
      {"drain-seconds", "S",
       "Time that running jobs get on shutdown before they are requeued",
       SecondsText(defaults.drain),
       [](absl::string_view value, ServerOptions& options) {
         return ParseSeconds(value, 0, &options.drain);
       }},
      {"keepalive-seconds", "S",
       "A connection silent for so long is asked for a sign of life",
       SecondsText(defaults.keepalive),
       [](absl::string_view value, ServerOptions& options) {
         return ParseSeconds(value, 1, &options.keepalive);
       }},
      {"keepalive-timeout-seconds", "S",
       "It is closed when none comes for so long",
       SecondsText(defaults.keepalive_timeout),
       [](absl::string_view value, ServerOptions& options) {
         return ParseSeconds(value, 1, &options.keepalive_timeout);
       }},
      {"max-connection-age-seconds", "S",
       "A connection this old takes no more calls; 0 = never",
       SecondsText(defaults.max_connection_age),
       [](absl::string_view value, ServerOptions& options) {
         return ParseSeconds(value, 0, &options.max_connection_age);
       }},
      {"max-connection-age-grace-seconds", "S",
       "Time that the calls of such a connection get to end",
       SecondsText(defaults.max_connection_age_grace),
       [](absl::string_view value, ServerOptions& options) {
         return ParseSeconds(value, 0, &options.max_connection_age_grace);
       }},
      {"max-call-wait-seconds", "S",
       "A call that waited so long for a thread is refused",
       SecondsText(defaults.max_call_wait),
       [](absl::string_view value, ServerOptions& options) {
         return ParseSeconds(value, 0.1, &options.max_call_wait);
       }},
      {"model-root", "DIR[,DIR...]",
       "Directories below which models may be registered; empty = anywhere", "",
       [](absl::string_view value, ServerOptions& options) {
         for (absl::string_view root :
              absl::StrSplit(value, ',', absl::SkipEmpty())) {
           if (!absl::StartsWith(root, "/")) {
             return absl::InvalidArgumentError(
                 absl::StrCat("\"", root, "\" is not an absolute path"));
           }
           options.model_roots.emplace_back(root);
         }
         return absl::OkStatus();
       }},
      {"log-level", "LEVEL", "debug, info, warning or error", "info",
       [](absl::string_view value, ServerOptions& options) {
         ASSIGN_OR_RETURN(options.log_level, ParseLogLevel(value));
         return absl::OkStatus();
       }},
      {"insecure-listen", nullptr,
       "Allow an address that other machines reach; there is no "
       "authentication",
       "false",
       [](absl::string_view value, ServerOptions& options) {
         if (!absl::SimpleAtob(value, &options.insecure_listen)) {
           return absl::InvalidArgumentError(
               absl::StrCat("\"", value, "\" is not true or false"));
         }
         return absl::OkStatus();
       }},
  };
}

std::vector<Flag<WorkerOptions>> WorkerFlags() {
  return {
      {"server", "HOST:PORT", "Address of the server", "",
       [](absl::string_view value, WorkerOptions& options) {
         options.server_address = std::string(value);
         return absl::OkStatus();
       }},
      {"job", "NAME", "Job to run", "",
       [](absl::string_view value, WorkerOptions& options) {
         options.job = std::string(value);
         return absl::OkStatus();
       }},
      {"attempt", "N", "Attempt of the job", "",
       [](absl::string_view value, WorkerOptions& options) {
         if (!absl::SimpleAtoi(value, &options.attempt) ||
             options.attempt == 0) {
           return absl::InvalidArgumentError(
               absl::StrCat("\"", value, "\" is not an attempt number"));
         }
         return absl::OkStatus();
       }},
  };
}

template <typename Options>
const Flag<Options>* FindFlag(const std::vector<Flag<Options>>& flags,
                              absl::string_view name) {
  const std::string normal = absl::StrReplaceAll(name, {{"_", "-"}});
  for (const Flag<Options>& flag : flags) {
    if (normal == flag.name) return &flag;
  }
  return nullptr;
}

template <typename Options>
absl::Status ParseFlags(const std::vector<Flag<Options>>& flags,
                        absl::Span<const std::string> args, Options* options) {
  for (size_t i = 0; i < args.size(); ++i) {
    absl::string_view text = args[i];
    if (!absl::ConsumePrefix(&text, "--") || text.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("unexpected argument \"", args[i], "\""));
    }
    const size_t equals = text.find('=');
    const Flag<Options>* flag = FindFlag(flags, text.substr(0, equals));
    if (flag == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown flag --", text.substr(0, equals)));
    }
    std::string value = "true";
    if (equals != absl::string_view::npos) {
      value = std::string(text.substr(equals + 1));
    } else if (flag->value_name != nullptr) {
      if (i + 1 == args.size()) {
        return absl::InvalidArgumentError(
            absl::StrCat("flag --", flag->name, " needs a value"));
      }
      value = args[++i];
    }
    RETURN_IF_ERROR(
        Annotate(flag->set(value, *options), "flag --", flag->name));
  }
  return absl::OkStatus();
}

absl::Status MissingFlag(absl::string_view name) {
  return absl::InvalidArgumentError(
      absl::StrCat("flag --", name, " is required"));
}

}  // namespace

absl::StatusOr<ServerOptions> ParseServeFlags(
    absl::Span<const std::string> args) {
  ServerOptions options;
  RETURN_IF_ERROR(ParseFlags(ServeFlags(), args, &options));
  if (options.data_directory.empty()) return MissingFlag("data-dir");
  return options;
}

absl::StatusOr<WorkerOptions> ParseWorkerFlags(
    absl::Span<const std::string> args) {
  WorkerOptions options;
  RETURN_IF_ERROR(ParseFlags(WorkerFlags(), args, &options));
  if (options.server_address.empty()) return MissingFlag("server");
  if (options.job.empty()) return MissingFlag("job");
  if (options.attempt == 0) return MissingFlag("attempt");
  // By environment: a command line is readable by every user of the machine.
  const char* token = std::getenv(kAttemptTokenVariable);
  if (token == nullptr || *token == '\0') {
    return absl::InvalidArgumentError(
        absl::StrCat("environment variable ", kAttemptTokenVariable,
                     " is not set: workers are started by the server"));
  }
  options.token = token;
  return options;
}

std::string ServeFlagsHelp() {
  std::string help;
  for (const Flag<ServerOptions>& flag : ServeFlags()) {
    const std::string left =
        flag.value_name == nullptr
            ? absl::StrCat("--", flag.name)
            : absl::StrCat("--", flag.name, " ", flag.value_name);
    absl::StrAppendFormat(&help, "  %-30s %s", left, flag.help);
    if (!flag.default_value.empty()) {
      absl::StrAppend(&help, " [", flag.default_value, "]");
    }
    absl::StrAppend(&help, "\n");
  }
  return help;
}

}  // namespace quantd
