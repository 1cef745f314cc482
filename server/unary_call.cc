#include "server/unary_call.h"

#include <exception>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "jobs/clock.h"
#include "server/status_conversion.h"

namespace quantd {
namespace {

LogLevel LevelOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnknown:
      return LogLevel::kError;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
      return LogLevel::kWarning;
    default:
      return LogLevel::kDebug;
  }
}

absl::Status RunGuarded(const std::function<absl::Status()>& handler) {
  try {
    return handler();
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("unexpected: ", error.what()));
  }
}

}  // namespace

void LogFailure(JsonLog& log, absl::string_view method,
                const absl::Status& status) {
  log.Write(
      LevelOf(status.code()), "call_failed", status.message(),
      {{"method", method}, {"code", absl::StatusCodeToString(status.code())}});
}

absl::Status OverloadedError() {
  return absl::ResourceExhaustedError(
      "the server has too many calls waiting; retry with backoff");
}

absl::Status StartingError() {
  return absl::UnavailableError("the server is starting; retry");
}

grpc::ServerUnaryReactor* RunUnary(const ServiceContext& context,
                                   HandlerPool* pool,
                                   grpc::CallbackServerContext* call,
                                   absl::string_view method,
                                   std::function<absl::Status()> handler) {
  grpc::ServerUnaryReactor* reactor = call->DefaultReactor();
  const auto finish = [reactor, method,
                       log = context.log](const absl::Status& status) {
    if (!status.ok()) LogFailure(*log, method, status);
    reactor->Finish(ToGrpcStatus(status));
  };
  if (context.jobs() == nullptr) {
    finish(StartingError());
    return reactor;
  }
  const absl::Duration arrived = Clock::Real()->Monotonic();
  const bool scheduled =
      pool->Schedule([call, finish, arrived, limit = context.max_call_wait,
                      handler = std::move(handler)] {
        if (call->IsCancelled()) {
          // Nobody waits for the answer; above all nothing must be created.
          finish(absl::CancelledError("the caller gave up"));
          return;
        }
        if (Clock::Real()->Monotonic() - arrived > limit) {
          finish(absl::DeadlineExceededError(
              absl::StrCat("the call waited for more than ",
                           absl::FormatDuration(limit), " and was not begun")));
          return;
        }
        finish(RunGuarded(handler));
      });
  if (!scheduled) finish(OverloadedError());
  return reactor;
}

}  // namespace quantd
