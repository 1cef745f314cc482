#include "server/json_log.h"

#include <exception>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "spdlog/logger.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace quantd {
namespace {

struct LevelRow {
  LogLevel level;
  const char* name;
  spdlog::level::level_enum spdlog_level;
};
constexpr LevelRow kLevels[] = {
    {LogLevel::kDebug, "debug", spdlog::level::debug},
    {LogLevel::kInfo, "info", spdlog::level::info},
    {LogLevel::kWarning, "warning", spdlog::level::warn},
    {LogLevel::kError, "error", spdlog::level::err},
};

const LevelRow& RowOf(LogLevel level) {
  return kLevels[static_cast<size_t>(level)];
}

}  // namespace

absl::StatusOr<LogLevel> ParseLogLevel(absl::string_view text) {
  for (const LevelRow& row : kLevels) {
    if (text == row.name) return row.level;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "unknown log level \"", text, "\": debug, info, warning or error"));
}

std::string JsonString(absl::string_view text) {
  return nlohmann::json(std::string(text))
      .dump(-1, ' ', /*ensure_ascii=*/false,
            nlohmann::json::error_handler_t::replace);
}

JsonLog::JsonLog(LogLevel level)
    : JsonLog(level, std::make_shared<spdlog::sinks::stderr_sink_mt>()) {}

JsonLog::JsonLog(LogLevel level, std::shared_ptr<spdlog::sinks::sink> sink)
    : logger_(std::make_unique<spdlog::logger>("quantd", std::move(sink))) {
  logger_->set_level(RowOf(level).spdlog_level);
  logger_->set_pattern("%v");
  logger_->flush_on(spdlog::level::debug);
  // A log that cannot be written must not take the server down.
  logger_->set_error_handler([](const std::string&) {});
}

JsonLog::~JsonLog() = default;

void JsonLog::Write(LogLevel level, absl::string_view event,
                    absl::string_view message, Fields fields) {
  const LevelRow& row = RowOf(level);
  if (!logger_->should_log(row.spdlog_level)) return;
  std::string line = absl::StrCat(
      "{\"ts\":\"",
      absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ", absl::Now(),
                       absl::UTCTimeZone()),
      "\",\"level\":\"", row.name, "\",\"event\":", JsonString(event),
      ",\"msg\":", JsonString(message));
  for (const LogField& field : fields) {
    absl::StrAppend(&line, ",", JsonString(field.key()), ":", field.json());
  }
  line += '}';
  logger_->log(row.spdlog_level, spdlog::string_view_t(line));
}

}  // namespace quantd
