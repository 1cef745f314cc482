#include "client/connection.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/grpc_status.h"

namespace quantd {
namespace {

// Only UNAVAILABLE is retried: it is what a restarting or draining server
// answers. Deletions are not, because the answer to a repeated one would be
// NOT_FOUND; an empty policy for the method overrides the general one.
constexpr char kServiceConfig[] = R"json({
  "methodConfig": [
    {
      "name": [
        {"service": "quantd.v1.ModelService", "method": "DeleteModel"},
        {"service": "quantd.v1.DatasetService", "method": "DeleteDataset"},
        {"service": "quantd.v1.ArtifactService", "method": "DeleteArtifact"}
      ]
    },
    {
      "name": [{}],
      "retryPolicy": {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"]
      }
    }
  ],
  "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1}
})json";

// Pages of evaluations carry one number per window; everything else is far
// smaller.
constexpr int kReceiveLimitBytes = 32 << 20;

std::shared_ptr<grpc::Channel> MakeChannel(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(kServiceConfig);
  arguments.SetUserAgentPrefix("quantctl");
  arguments.SetMaxReceiveMessageSize(kReceiveLimitBytes);
  // Notices a dead peer under a silent stream; above the interval at which
  // servers start to refuse pings.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // A restarted server is found again within a second, not after the
  // library's default of up to two minutes.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  return grpc::CreateCustomChannel(
      options.server, grpc::InsecureChannelCredentials(), arguments);
}

}  // namespace

Client::Connection::Connection(const ClientOptions& options)
    : server(options.server),
      channel(MakeChannel(options)),
      models(v1::ModelService::NewStub(channel)),
      datasets(v1::DatasetService::NewStub(channel)),
      recipes(v1::RecipeService::NewStub(channel)),
      jobs(v1::JobService::NewStub(channel)),
      artifacts(v1::ArtifactService::NewStub(channel)),
      evaluations(v1::EvaluationService::NewStub(channel)) {}

void Client::Connection::Cancel() {
  absl::MutexLock lock(&mutex);
  cancelled = true;
  for (grpc::ClientContext* context : active) context->TryCancel();
}

bool Client::Connection::Pause(absl::Duration pause) {
  absl::MutexLock lock(&mutex);
  return !mutex.AwaitWithTimeout(absl::Condition(&cancelled), pause);
}

absl::Status Client::Connection::Convert(const grpc::Status& status) const {
  absl::Status converted = FromGrpcStatus(status);
  if (absl::IsUnavailable(converted) || absl::IsDeadlineExceeded(converted)) {
    return Annotate(std::move(converted), "server ", server);
  }
  return converted;
}

ScopedCall::ScopedCall(Client::Connection& connection, absl::Duration timeout)
    : connection_(connection) {
  if (timeout != absl::InfiniteDuration()) {
    context_.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  }
  absl::MutexLock lock(&connection_.mutex);
  connection_.active.insert(&context_);
  if (connection_.cancelled) context_.TryCancel();
}

ScopedCall::~ScopedCall() {
  absl::MutexLock lock(&connection_.mutex);
  connection_.active.erase(&context_);
}

}  // namespace quantd
