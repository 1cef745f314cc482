#include "server/quantd_server.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "jobs/clock.h"
#include "jobs/job_manager.h"
#include "jobs/local_executor.h"
#include "jobs/memory_probe.h"
#include "server/artifact_service.h"
#include "server/blob_references.h"
#include "server/dataset_service.h"
#include "server/evaluation_service.h"
#include "server/handler_pool.h"
#include "server/http_pages.h"
#include "server/job_service.h"
#include "server/job_telemetry.h"
#include "server/listen_address.h"
#include "server/metrics_page.h"
#include "server/model_service.h"
#include "server/page_tokens.h"
#include "server/recipe_service.h"
#include "server/rpc_metrics.h"
#include "server/server_gauges.h"
#include "server/service_context.h"
#include "server/serving_status.h"
#include "server/worker_service.h"
#include "storage/artifact_store.h"
#include "storage/metadata_store.h"

namespace quantd {
namespace {

// Twice the callers at which group commit pays off best here (32), so that
// slow calls beside them (a checkpoint being opened) do not hold them up.
constexpr int kHandlerThreads = 64;
constexpr size_t kMaxQueuedCalls = 4096;
constexpr int kHeartbeatThreads = 4;

constexpr int kMaxReceiveBytes = 4 << 20;
constexpr int kMinPingIntervalMs = 10000;
constexpr int kMaxPingStrikes = 2;
constexpr int kMaxConcurrentStreams = 1024;
constexpr int kMaxMetadataBytes = 16 << 10;
constexpr size_t kTransportMemoryBytes = size_t{512} << 20;
// For calls that are under way when everything else has stopped.
constexpr std::chrono::seconds kTransportGrace(1);

constexpr int kRocksdbWarning = 2;
constexpr int kRocksdbError = 3;

constexpr int kServiceUnavailable = 503;

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(std::min<int64_t>(absl::ToInt64Milliseconds(duration),
                                            std::numeric_limits<int>::max()));
}

}  // namespace

class QuantdServer::Impl {
 public:
  Impl(ServerOptions options, JsonLog* log)
      : options_(std::move(options)), log_(*log) {}
  ~Impl() { Shutdown(absl::ZeroDuration()); }

  absl::Status Start();
  void Shutdown(absl::Duration grace);

  int port() const { return port_; }
  int metrics_port() const { return metrics_port_; }
  absl::Status health() const { return serving_status_.status(); }

 private:
  absl::Status CheckAddresses();
  absl::StatusOr<ListenAddress> CheckedAddress(const std::string& text) const;
  absl::Status OpenStores();
  absl::Status ReclaimBlobs();
  absl::Status StartPages();
  HttpReply Readiness() const;
  absl::Status StartTransport();
  absl::Status StartJobs();
  std::unique_ptr<Executor> NewExecutor() const;
  void OnStoreLog(int level, absl::string_view line);

  const ServerOptions options_;
  JsonLog& log_;
  ListenAddress listen_;
  int port_ = 0;
  int metrics_port_ = 0;
  bool stopped_ = false;

  // In the order of their construction; Shutdown() goes backwards.
  ServingStatus serving_status_{{v1::ArtifactService::service_full_name(),
                                 v1::DatasetService::service_full_name(),
                                 v1::EvaluationService::service_full_name(),
                                 v1::JobService::service_full_name(),
                                 v1::ModelService::service_full_name(),
                                 v1::RecipeService::service_full_name(),
                                 v1::WorkerService::service_full_name()}};
  MetricsPage metrics_;
  std::unique_ptr<MetadataStore> store_;
  std::unique_ptr<ArtifactStore> artifacts_;
  std::unique_ptr<PageTokens> page_tokens_;
  std::unique_ptr<HandlerPool> pool_;
  std::unique_ptr<HandlerPool> heartbeat_pool_;
  ServiceContext context_;
  ArtifactService artifact_service_{&context_};
  DatasetService dataset_service_{&context_};
  EvaluationService evaluation_service_{&context_};
  JobService job_service_{&context_};
  ModelService model_service_{&context_};
  RecipeService recipe_service_{&context_};
  WorkerService worker_service_{&context_};
  std::unique_ptr<ServerGauges> gauges_;
  std::unique_ptr<grpc::Server> transport_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<JobTelemetry> telemetry_;
  std::unique_ptr<JobManager> jobs_;
  HttpPages pages_;
};

absl::Status QuantdServer::Impl::Start() {
  RETURN_IF_ERROR(CheckAddresses());
  RETURN_IF_ERROR(OpenStores());
  RETURN_IF_ERROR(ReclaimBlobs());
  ASSIGN_OR_RETURN(PageTokens tokens, PageTokens::Load(store_.get()));
  page_tokens_ = std::make_unique<PageTokens>(std::move(tokens));
  pool_ = std::make_unique<HandlerPool>(kHandlerThreads, kMaxQueuedCalls);
  heartbeat_pool_ =
      std::make_unique<HandlerPool>(kHeartbeatThreads, kMaxQueuedCalls);
  context_.store = store_.get();
  context_.artifacts = artifacts_.get();
  context_.page_tokens = page_tokens_.get();
  context_.log = &log_;
  context_.pool = pool_.get();
  context_.heartbeat_pool = heartbeat_pool_.get();
  context_.data_directory = options_.data_directory;
  context_.model_roots = options_.model_roots;
  context_.max_call_wait = options_.max_call_wait;
  RETURN_IF_ERROR(StartTransport());
  RETURN_IF_ERROR(StartJobs());
  RETURN_IF_ERROR(StartPages());
  serving_status_.SetReady();
  return absl::OkStatus();
}

absl::Status QuantdServer::Impl::CheckAddresses() {
  ASSIGN_OR_RETURN(listen_, CheckedAddress(options_.listen));
  if (options_.metrics_listen.empty()) return absl::OkStatus();
  return CheckedAddress(options_.metrics_listen).status();
}

absl::StatusOr<ListenAddress> QuantdServer::Impl::CheckedAddress(
    const std::string& text) const {
  ASSIGN_OR_RETURN(const ListenAddress address, ParseListenAddress(text));
  RETURN_IF_ERROR(CheckCanBind(address));
  if (!IsLoopback(address) && !options_.insecure_listen) {
    return absl::InvalidArgumentError(
        absl::StrCat(text,
                     ": not a loopback address, and there is no "
                     "authentication; --insecure-listen allows it"));
  }
  return address;
}

void QuantdServer::Impl::OnStoreLog(int level, absl::string_view line) {
  LogLevel mapped = LogLevel::kDebug;
  if (level == kRocksdbWarning) mapped = LogLevel::kWarning;
  if (level >= kRocksdbError) mapped = LogLevel::kError;
  log_.Write(mapped, "store", line, {});
}

absl::Status QuantdServer::Impl::OpenStores() {
  RETURN_IF_ERROR(
      Annotate(CreateDirectories(options_.data_directory), "data directory"));
  MetadataStore::Options options;
  options.directory = options_.data_directory + "/metadata";
  options.log = [this](int level, absl::string_view line) {
    OnStoreLog(level, line);
  };
  options.on_degraded = [this](const absl::Status& why) {
    log_.Error("store_read_only",
               "the metadata store refuses writes until the server is "
               "restarted",
               {{"why", why.ToString()}});
    serving_status_.SetNotServing(why);
  };
  const absl::Time start = absl::Now();
  ASSIGN_OR_RETURN(store_, Annotate(MetadataStore::Open(std::move(options)),
                                    "data directory"));
  prometheus::BuildGauge()
      .Name("quantd_store_recovery_seconds")
      .Help("Time that opening the metadata store took.")
      .Register(metrics_.registry())
      .Add({})
      .Set(absl::ToDoubleSeconds(absl::Now() - start));
  prometheus::Histogram& write_seconds =
      prometheus::BuildHistogram()
          .Name("quantd_store_write_seconds")
          .Help("Time of a synced write to the metadata store.")
          .Register(metrics_.registry())
          .Add({{"op", "commit"}}, StoreBuckets());
  store_->set_commit_observer(
      [&write_seconds](double seconds) { write_seconds.Observe(seconds); });
  ASSIGN_OR_RETURN(
      artifacts_,
      Annotate(OpenFileArtifactStore(options_.data_directory + "/artifacts"),
               "data directory"));
  return absl::OkStatus();
}

absl::Status QuantdServer::Impl::ReclaimBlobs() {
  ASSIGN_OR_RETURN(const absl::flat_hash_set<std::string> referenced,
                   ReferencedBlobs(*store_));
  ASSIGN_OR_RETURN(const uint64_t bytes, artifacts_->Reclaim(referenced));
  if (bytes > 0) {
    log_.Info("reclaimed", "removed blobs that nothing refers to",
              {{"bytes", bytes}});
  }
  return absl::OkStatus();
}

absl::Status QuantdServer::Impl::StartTransport() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.AddListeningPort(listen_.ToString(),
                           grpc::InsecureServerCredentials(), &port_);
  builder.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  // Two servers on one port would share its connections without a word.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS,
                             Milliseconds(options_.keepalive));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             Milliseconds(options_.keepalive_timeout));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(
      GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
      kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, kMaxPingStrikes);
  if (options_.max_connection_age > absl::ZeroDuration()) {
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                               Milliseconds(options_.max_connection_age));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                               Milliseconds(options_.max_connection_age_grace));
  }
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS,
                             kMaxConcurrentStreams);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder.SetResourceQuota(
      grpc::ResourceQuota("quantd").Resize(kTransportMemoryBytes));
  std::vector<
      std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
      interceptors;
  interceptors.push_back(NewRpcMetrics(&metrics_.registry()));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  for (grpc::Service* service : std::initializer_list<grpc::Service*>{
           &artifact_service_, &dataset_service_, &evaluation_service_,
           &job_service_, &model_service_, &recipe_service_,
           &worker_service_}) {
    builder.RegisterService(service);
  }
  transport_ = builder.BuildAndStart();
  if (transport_ == nullptr || port_ == 0) {
    return absl::UnavailableError(
        absl::StrCat(options_.listen, ": cannot listen on this address"));
  }
  serving_status_.Attach(transport_->GetHealthCheckService());
  return absl::OkStatus();
}

std::unique_ptr<Executor> QuantdServer::Impl::NewExecutor() const {
  const std::string address = LocalTarget(listen_, port_);
  if (options_.executor_factory) return options_.executor_factory(address);
  LocalExecutorOptions options;
  options.worker_binary = options_.worker_binary;
  options.worker_args_prefix = {"worker"};
  options.server_address = address;
  options.slots = options_.slots;
  return NewLocalExecutor(std::move(options));
}

absl::Status QuantdServer::Impl::StartJobs() {
  executor_ = NewExecutor();
  telemetry_ = std::make_unique<JobTelemetry>(&metrics_.registry(), &log_,
                                              std::string(executor_->name()));
  JobManager::Options options;
  options.data_directory = options_.data_directory;
  options.lease = options_.lease;
  options.job_memory_bytes = options_.job_memory_bytes;
  options.statistics_bytes = options_.statistics_bytes;
  options.score_bytes = options_.score_bytes;
  if (options.job_memory_bytes == 0) {
    // The rest is for the server, the page cache and the machine.
    options.job_memory_bytes = MemoryLimitBytes() / 10 * 8 /
                               static_cast<uint64_t>(options_.slots);
  }
  ASSIGN_OR_RETURN(jobs_, JobManager::Start(std::move(options), store_.get(),
                                            artifacts_.get(), executor_.get(),
                                            Clock::Real(), telemetry_.get()));
  context_.set_jobs(jobs_.get());
  return absl::OkStatus();
}

HttpReply QuantdServer::Impl::Readiness() const {
  const absl::Status status = serving_status_.status();
  if (status.ok()) return {.body = "ready\n"};
  return {.code = kServiceUnavailable,
          .body = absl::StrCat("not ready: ", status.ToString(), "\n")};
}

absl::Status QuantdServer::Impl::StartPages() {
  prometheus::BuildGauge()
      .Name("quantd_build_info")
      .Help("1, labelled with the build.")
      .Register(metrics_.registry())
      .Add({{"version", std::string(Version())}, {"compiler", __VERSION__}})
      .Set(1);
  gauges_ = std::make_unique<ServerGauges>(
      &metrics_.registry(), &context_,
      [this] { return job_service_.watchers(); });
  metrics_.AddRefresh([this] { gauges_->Refresh(); });
  if (options_.metrics_listen.empty()) return absl::OkStatus();
  pages_.Add("/metrics", [this] {
    return HttpReply{.content_type = MetricsPage::kContentType,
                     .body = metrics_.Text()};
  });
  pages_.Add("/livez", [] { return HttpReply{.body = "alive\n"}; });
  pages_.Add("/readyz", [this] { return Readiness(); });
  ASSIGN_OR_RETURN(metrics_port_, pages_.Serve(options_.metrics_listen));
  return absl::OkStatus();
}

void QuantdServer::Impl::Shutdown(absl::Duration grace) {
  if (stopped_) return;
  stopped_ = true;
  serving_status_.SetNotServing(
      absl::UnavailableError("the server is shutting down"));
  // While jobs drain, the transport goes on: workers report through it.
  if (jobs_ != nullptr) jobs_->Drain(grace);
  job_service_.StopWatches();
  if (transport_ != nullptr) {
    transport_->Shutdown(std::chrono::system_clock::now() + kTransportGrace);
    transport_->Wait();
    serving_status_.Detach();
  }
  pages_.Stop();
  // Queued handlers belong to calls that have ended; they still run.
  heartbeat_pool_.reset();
  pool_.reset();
  transport_.reset();
  context_.set_jobs(nullptr);
  jobs_.reset();
  if (executor_ != nullptr) executor_->Shutdown();
}

absl::StatusOr<std::unique_ptr<QuantdServer>> QuantdServer::BuildAndStart(
    ServerOptions options, JsonLog* log) {
  auto impl = std::make_unique<Impl>(std::move(options), log);
  RETURN_IF_ERROR(impl->Start());
  return std::unique_ptr<QuantdServer>(new QuantdServer(std::move(impl)));
}

QuantdServer::QuantdServer(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
QuantdServer::~QuantdServer() = default;

int QuantdServer::port() const { return impl_->port(); }
int QuantdServer::metrics_port() const { return impl_->metrics_port(); }
absl::Status QuantdServer::health() const { return impl_->health(); }
void QuantdServer::Shutdown(absl::Duration grace) { impl_->Shutdown(grace); }

}  // namespace quantd
