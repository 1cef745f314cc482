// The server's log: one JSON object per line on standard error.
//
//   log.Info("job_transition", "job started",
//            {{"job", job.name()}, {"attempt", job.attempt()}});
//
//   {"ts":"2024-05-01T10:00:00.123456789Z","level":"info",
//    "event":"job_transition","msg":"job started","job":"jobs/...","attempt":1}
//
// INFO: one line per job transition and per phase of the server's own life;
// WARNING: degraded but served; ERROR: a person must act; DEBUG: the rest,
// clients' mistakes included. Control characters and invalid UTF-8 are
// escaped, so a line is always one line.
//
// Thread-safe.
#ifndef QUANTD_SERVER_JSON_LOG_H_
#define QUANTD_SERVER_JSON_LOG_H_

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <type_traits>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace spdlog {
class logger;
namespace sinks {
class sink;
}
}  // namespace spdlog

namespace quantd {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// "debug", "info", "warning" or "error".
absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view text);

// `text` as a JSON string, quotes included.
std::string JsonString(absl::string_view text);

// One key of a line and its value, already in JSON.
class LogField {
 public:
  LogField(absl::string_view key, absl::string_view value)
      : key_(key), json_(JsonString(value)) {}
  LogField(absl::string_view key, const std::string& value)
      : LogField(key, absl::string_view(value)) {}
  LogField(absl::string_view key, const char* value)
      : LogField(key, absl::string_view(value)) {}
  template <typename Number,
            std::enable_if_t<std::is_arithmetic_v<Number>, int> = 0>
  LogField(absl::string_view key, Number value)
      : key_(key), json_(absl::StrCat(value)) {}

  absl::string_view key() const { return key_; }
  const std::string& json() const { return json_; }

 private:
  absl::string_view key_;
  std::string json_;
};

class JsonLog {
 public:
  using Fields = std::initializer_list<LogField>;

  // To standard error.
  explicit JsonLog(LogLevel level);
  // To `sink`, for tests.
  JsonLog(LogLevel level, std::shared_ptr<spdlog::sinks::sink> sink);
  ~JsonLog();
  JsonLog(const JsonLog&) = delete;
  JsonLog& operator=(const JsonLog&) = delete;

  void Debug(absl::string_view event, absl::string_view message,
             Fields fields = {}) {
    Write(LogLevel::kDebug, event, message, fields);
  }
  void Info(absl::string_view event, absl::string_view message,
            Fields fields = {}) {
    Write(LogLevel::kInfo, event, message, fields);
  }
  void Warning(absl::string_view event, absl::string_view message,
               Fields fields = {}) {
    Write(LogLevel::kWarning, event, message, fields);
  }
  void Error(absl::string_view event, absl::string_view message,
             Fields fields = {}) {
    Write(LogLevel::kError, event, message, fields);
  }
  void Write(LogLevel level, absl::string_view event, absl::string_view message,
             Fields fields);

 private:
  const std::unique_ptr<spdlog::logger> logger_;
};

}  // namespace quantd

#endif  // QUANTD_SERVER_JSON_LOG_H_
