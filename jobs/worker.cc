#include "jobs/worker.h"

#include <grpcpp/grpcpp.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "jobs/allocator.h"
#include "jobs/clock.h"
#include "jobs/job_change.h"
#include "jobs/job_runner.h"
#include "jobs/memory_probe.h"
#include "jobs/phase_times.h"
#include "jobs/worker_mailbox.h"
#include "kernels/device.h"
#include "kernels/execution_context.h"
#include "quantd/v1/worker.grpc.pb.h"

namespace quantd {
namespace {

// The server may read all inputs to check their digests before it answers.
constexpr absl::Duration kClaimTimeout = absl::Minutes(30);
// It may copy and hash a whole checkpoint before it answers a report.
constexpr absl::Duration kReportTimeout = absl::Minutes(30);
// How long a server that cannot be reached is tried for.
constexpr absl::Duration kClaimPatience = absl::Seconds(30);
constexpr absl::Duration kReportPatience = absl::Minutes(10);
constexpr absl::Duration kRetryPause = absl::Milliseconds(300);
constexpr absl::Duration kLongestHeartbeatInterval = absl::Seconds(1);
constexpr absl::Duration kSignalPoll = absl::Milliseconds(100);

// The worker's standard error is the job's log.
void Log(const char* level, const std::string& text) {
  std::fprintf(
      stderr, "%s %s %s\n",
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone())
          .c_str(),
      level, text.c_str());
}

absl::Duration Now() { return Clock::Real()->Monotonic(); }

std::chrono::system_clock::time_point Deadline(absl::Duration timeout) {
  return std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout);
}

bool IsFenced(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::ABORTED ||
         status.error_code() == grpc::StatusCode::NOT_FOUND;
}

bool IsTransient(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAVAILABLE ||
         status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
}

std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  // The server is next door: a proxy in the environment is not meant for it.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  // Finds a dead peer during the long calls.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                   arguments);
}

class WorkerRun {
 public:
  explicit WorkerRun(const WorkerOptions& options)
      : stub_(v1::WorkerService::NewStub(Connect(options.server_address))),
        stop_time_(options.stop_time) {
    key_.set_job(options.job);
    key_.set_attempt(options.attempt);
    key_.set_token(options.token);
  }

  int Run();

 private:
  // --- the thread that waits for signals
  void WaitForSignals(const sigset_t& signals);
  void RequestStop();

  // --- the main thread
  std::optional<int> Claim();
  int RunClaimed();
  // The exit code when the worker must end at once.
  std::optional<int> Heartbeat();
  int EndWithoutReport();
  int Report(const v1::ReportAttemptRequest& request);
  // Waits; true when the worker was told to stop.
  bool Pause(absl::Duration time) ABSL_LOCKS_EXCLUDED(mutex_);
  v1::ReportAttemptRequest MakeReport();

  // --- the thread that runs the job
  void RunJob();

  const std::unique_ptr<v1::WorkerService::Stub> stub_;
  const absl::Duration stop_time_;
  v1::AttemptKey key_;
  v1::Assignment assignment_;
  MemoryProbe memory_;
  PhaseTimes phases_;  // of the thread that runs the job, until it has ended
  WorkerMailbox mailbox_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<ExecutionContext> context_;
  absl::Duration last_contact_;
  // Ends the signal thread.
  std::atomic<bool> over_{false};

  absl::Mutex mutex_;
  bool stop_requested_ ABSL_GUARDED_BY(mutex_) = false;
  // The claim under way, if any, for cancelling it.
  grpc::ClientContext* claim_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // The job that a stop has to reach, once it exists.
  ExecutionContext* running_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::StatusOr<v1::AttemptSuccess> outcome_ ABSL_GUARDED_BY(mutex_);
};

int WorkerRun::Run() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  // Threads inherit the mask; gRPC and the kernels start some.
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread signal_thread([this, signals] { WaitForSignals(signals); });
  std::optional<int> code = Claim();
  if (!code.has_value()) code = RunClaimed();
  over_ = true;
  signal_thread.join();
  return *code;
}

void WorkerRun::WaitForSignals(const sigset_t& signals) {
  const timespec timeout = absl::ToTimespec(kSignalPoll);
  while (!over_) {
    if (::sigtimedwait(&signals, nullptr, &timeout) > 0) RequestStop();
  }
}

void WorkerRun::RequestStop() {
  absl::MutexLock lock(&mutex_);
  stop_requested_ = true;
  if (claim_ != nullptr) claim_->TryCancel();
  if (running_ != nullptr) running_->RequestCancel();
}

bool WorkerRun::Pause(absl::Duration time) {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&stop_requested_), time);
}

std::optional<int> WorkerRun::Claim() {
  const absl::Duration give_up_at = Now() + kClaimPatience;
  for (;;) {
    grpc::ClientContext context;
    context.set_deadline(Deadline(kClaimTimeout));
    {
      absl::MutexLock lock(&mutex_);
      if (stop_requested_) return kWorkerStopped;
      claim_ = &context;
    }
    const grpc::Status status =
        stub_->ClaimAttempt(&context, key_, &assignment_);
    {
      absl::MutexLock lock(&mutex_);
      claim_ = nullptr;
    }
    last_contact_ = Now();
    if (status.ok()) return std::nullopt;
    const bool retry = IsTransient(status) && Now() < give_up_at;
    Log(retry ? "WARNING" : "ERROR",
        absl::StrCat("claiming attempt ", key_.attempt(), " of ", key_.job(),
                     ": ", status.error_message()));
    if (!retry) return IsFenced(status) ? kWorkerStale : kWorkerFailed;
    if (Pause(kRetryPause)) return kWorkerStopped;
  }
}

int WorkerRun::RunClaimed() {
  Log("INFO",
      absl::StrCat("attempt ", key_.attempt(), " of ", key_.job(), " starts"));
  device_ = NewCpuDevice(static_cast<int>(assignment_.job().spec().threads()));
  context_ = std::make_unique<ExecutionContext>(device_.get());
  context_->set_progress_sink([this](const ProgressUpdate& update) {
    phases_.Enter(update.phase, Now());
    mailbox_.SetProgress(update);
  });
  context_->set_note_sink([this](absl::string_view text) {
    Log("INFO", std::string(text));
    mailbox_.AddNote(text);
  });
  context_->set_warning_sink([this](absl::string_view text) {
    Log("WARNING", std::string(text));
    mailbox_.AddWarning(text);
  });
  {
    absl::MutexLock lock(&mutex_);
    running_ = context_.get();
    if (stop_requested_) running_->RequestCancel();
  }
  std::thread runner([this] { RunJob(); });

  const absl::Duration interval =
      std::min(kLongestHeartbeatInterval,
               absl::Seconds(assignment_.lease_seconds()) / 3);
  bool finished = false;
  while (!finished) {
    {
      absl::MutexLock lock(&mutex_);
      finished = mutex_.AwaitWithTimeout(absl::Condition(&finished_), interval);
    }
    if (finished) break;
    if (const std::optional<int> code = Heartbeat(); code.has_value()) {
      // Ends the process when the job does not heed the request.
      EndWithoutReport();
      runner.join();
      return *code;
    }
  }
  runner.join();
  return Report(MakeReport());
}

void WorkerRun::RunJob() {
  absl::StatusOr<v1::AttemptSuccess> outcome;
  const JobRunnerRow* row = FindJobRunner(assignment_.job().spec().kind_case());
  // The last line of defence: libraries below may throw, memory above all.
  try {
    outcome = row != nullptr
                  ? row->run(assignment_, *context_)
                  : absl::UnimplementedError("no runner for this kind of job");
  } catch (const std::bad_alloc&) {
    outcome = absl::ResourceExhaustedError("out of memory");
  } catch (const std::exception& error) {
    outcome = absl::InternalError(error.what());
  }
  phases_.End(Now());
  absl::MutexLock lock(&mutex_);
  outcome_ = std::move(outcome);
  finished_ = true;
}

std::optional<int> WorkerRun::Heartbeat() {
  const absl::Duration lease = absl::Seconds(assignment_.lease_seconds());
  v1::HeartbeatRequest request;
  *request.mutable_key() = key_;
  request.set_memory_bytes(ReadMemory().resident_bytes);
  mailbox_.Take(&request);
  grpc::ClientContext context;
  context.set_deadline(Deadline(std::max(lease / 3, absl::Seconds(1))));
  v1::HeartbeatResponse response;
  const grpc::Status status = stub_->Heartbeat(&context, request, &response);
  if (status.ok()) {
    last_contact_ = Now();
    if (response.cancel()) RequestStop();
    return std::nullopt;
  }
  mailbox_.PutBack(request);
  if (IsFenced(status)) {
    Log("ERROR", absl::StrCat("stopping: ", status.error_message()));
    return kWorkerStale;
  }
  if (Now() - last_contact_ > lease) {
    Log("ERROR", absl::StrCat("stopping: no answer from the server for ",
                              absl::FormatDuration(lease), ": ",
                              status.error_message()));
    return kWorkerStale;
  }
  return std::nullopt;
}

int WorkerRun::EndWithoutReport() {
  context_->RequestCancel();
  absl::MutexLock lock(&mutex_);
  if (!mutex_.AwaitWithTimeout(absl::Condition(&finished_), stop_time_)) {
    // Results are fenced and files are published by rename, so nothing is
    // lost or torn by ending in the middle.
    std::_Exit(kWorkerStale);
  }
  return kWorkerStale;
}

v1::ReportAttemptRequest WorkerRun::MakeReport() {
  v1::ReportAttemptRequest request;
  *request.mutable_key() = key_;
  absl::MutexLock lock(&mutex_);
  if (!outcome_.ok()) {
    Log("ERROR", std::string(outcome_.status().message()));
    *request.mutable_error() = ToJobError(outcome_.status());
    return request;
  }
  *request.mutable_success() = *std::move(outcome_);
  v1::JobResult& result = *request.mutable_success()->mutable_result();
  result.set_peak_memory_bytes(
      std::max(result.peak_memory_bytes(), ReadMemory().peak_resident_bytes));
  auto& metrics = *result.mutable_metrics();
  metrics["peak_anonymous_memory_bytes"] =
      static_cast<double>(memory_.peak_anonymous_bytes());
  phases_.AddTo(&metrics);
  const v1::Job& job = assignment_.job();
  if (job.has_forecast()) {
    metrics["forecast_peak_memory_bytes"] =
        static_cast<double>(job.forecast().peak_memory_bytes());
    metrics["forecast_seconds"] = job.forecast().seconds();
  }
  return request;
}

int WorkerRun::Report(const v1::ReportAttemptRequest& request) {
  const absl::Duration give_up_at = Now() + kReportPatience;
  for (;;) {
    // First what is left to say, and the lease for the time between tries.
    do {
      if (const std::optional<int> code = Heartbeat(); code.has_value()) {
        // The answer to an earlier try may have been lost; only the report
        // itself can tell.
        break;
      }
    } while (mailbox_.HasMessages() && Now() - last_contact_ < kRetryPause);
    grpc::ClientContext context;
    context.set_deadline(Deadline(kReportTimeout));
    google::protobuf::Empty response;
    const grpc::Status status =
        stub_->ReportAttempt(&context, request, &response);
    if (status.ok()) {
      Log("INFO",
          request.has_success() ? "reported success" : "reported the error");
      return kWorkerReported;
    }
    Log("ERROR", absl::StrCat("report refused: ", status.error_message()));
    if (IsFenced(status)) return kWorkerStale;
    if (!IsTransient(status) || Now() >= give_up_at) return kWorkerFailed;
    // Also when told to stop: the result is there, only to be delivered.
    absl::SleepFor(kRetryPause);
  }
}

}  // namespace

int RunWorkerMain(const WorkerOptions& options) {
  ReturnFreedMemoryAtOnce();
  WorkerRun run(options);
  return run.Run();
}

}  // namespace quantd
