#include "server/rpc_metrics.h"

#include <array>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "prometheus/counter.h"
#include "prometheus/histogram.h"
#include "server/metrics_page.h"

namespace quantd {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerInterceptorFactoryInterface;
using grpc::experimental::ServerRpcInfo;

constexpr size_t kStatusCodes = 17;  // 0..16

// The time series of one method.
struct MethodMetrics {
  prometheus::Counter* started = nullptr;
  prometheus::Histogram* handling_seconds = nullptr;
  // By code; made when first needed.
  std::string service;
  std::string method;
  std::array<prometheus::Counter*, kStatusCodes> handled{};
};

class RpcMetricsFactory final : public ServerInterceptorFactoryInterface {
 public:
  explicit RpcMetricsFactory(prometheus::Registry* registry)
      : started_(prometheus::BuildCounter()
                     .Name("quantd_grpc_server_started_total")
                     .Help("Calls started.")
                     .Register(*registry)),
        handled_(prometheus::BuildCounter()
                     .Name("quantd_grpc_server_handled_total")
                     .Help("Calls ended, by status code.")
                     .Register(*registry)),
        handling_seconds_(prometheus::BuildHistogram()
                              .Name("quantd_grpc_server_handling_seconds")
                              .Help("Time from the start of a call to its "
                                    "status.")
                              .Register(*registry)) {}

  Interceptor* CreateServerInterceptor(ServerRpcInfo* info) override;

  void CountHandled(const std::string& full_method, int code,
                    absl::Duration elapsed) {
    prometheus::Counter* counter = nullptr;
    prometheus::Histogram* histogram = nullptr;
    {
      absl::MutexLock lock(&mutex_);
      MethodMetrics& metrics = Find(full_method);
      const size_t index =
          code >= 0 && static_cast<size_t>(code) < kStatusCodes
              ? static_cast<size_t>(code)
              : static_cast<size_t>(absl::StatusCode::kUnknown);
      if (metrics.handled[index] == nullptr) {
        const auto known = static_cast<absl::StatusCode>(index);
        metrics.handled[index] =
            &handled_.Add({{"grpc_service", metrics.service},
                           {"grpc_method", metrics.method},
                           {"grpc_code", absl::StatusCodeToString(known)}});
      }
      counter = metrics.handled[index];
      histogram = metrics.handling_seconds;
    }
    counter->Increment();
    histogram->Observe(absl::ToDoubleSeconds(elapsed));
  }

 private:
  // `full_method` is "/quantd.v1.JobService/CreateJob".
  MethodMetrics& Find(const std::string& full_method)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto [row, inserted] = methods_.try_emplace(full_method);
    MethodMetrics& metrics = row->second;
    if (!inserted) return metrics;
    const std::pair<std::string, std::string> parts = absl::StrSplit(
        absl::StripPrefix(full_method, "/"), absl::MaxSplits('/', 1));
    metrics.service = parts.first;
    metrics.method = parts.second;
    const prometheus::Labels labels = {{"grpc_service", metrics.service},
                                       {"grpc_method", metrics.method}};
    metrics.started = &started_.Add(labels);
    metrics.handling_seconds = &handling_seconds_.Add(labels, RpcBuckets());
    return metrics;
  }

  prometheus::Family<prometheus::Counter>& started_;
  prometheus::Family<prometheus::Counter>& handled_;
  prometheus::Family<prometheus::Histogram>& handling_seconds_;

  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, MethodMetrics> methods_
      ABSL_GUARDED_BY(mutex_);
};

class RpcMetricsInterceptor final : public Interceptor {
 public:
  RpcMetricsInterceptor(RpcMetricsFactory* factory, std::string method)
      : factory_(factory), method_(std::move(method)), start_(absl::Now()) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_STATUS)) {
      factory_->CountHandled(
          method_, static_cast<int>(methods->GetSendStatus().error_code()),
          absl::Now() - start_);
    }
    methods->Proceed();
  }

 private:
  RpcMetricsFactory* const factory_;
  const std::string method_;
  const absl::Time start_;
};

Interceptor* RpcMetricsFactory::CreateServerInterceptor(ServerRpcInfo* info) {
  std::string method = info->method();
  {
    absl::MutexLock lock(&mutex_);
    Find(method).started->Increment();
  }
  return new RpcMetricsInterceptor(this, std::move(method));
}

}  // namespace

std::unique_ptr<ServerInterceptorFactoryInterface> NewRpcMetrics(
    prometheus::Registry* registry) {
  return std::make_unique<RpcMetricsFactory>(registry);
}

}  // namespace quantd
