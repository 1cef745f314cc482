// What the services share. Owned by QuantdServer, which outlives every call.
//
// Thread-safe: the pointers are constant while calls are served, except
// jobs(), which appears once the server has started.
#ifndef QUANTD_SERVER_SERVICE_CONTEXT_H_
#define QUANTD_SERVER_SERVICE_CONTEXT_H_

#include <atomic>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "jobs/job_manager.h"
#include "server/handler_pool.h"
#include "server/json_log.h"
#include "server/page_tokens.h"
#include "storage/artifact_store.h"
#include "storage/metadata_store.h"

namespace quantd {

struct ServiceContext {
  MetadataStore* store = nullptr;
  ArtifactStore* artifacts = nullptr;
  const PageTokens* page_tokens = nullptr;
  JsonLog* log = nullptr;
  // For the calls of clients, and apart from them for heartbeats: a lease must
  // not run out because clients keep every thread busy.
  HandlerPool* pool = nullptr;
  HandlerPool* heartbeat_pool = nullptr;
  std::string data_directory;
  // Directories below which models may be registered; empty = anywhere.
  std::vector<std::string> model_roots;
  // A call that waited longer for a thread is not begun.
  absl::Duration max_call_wait = absl::InfiniteDuration();

  // nullptr until the server is ready: its address must be known before
  // workers are started, so it listens before there is a job manager. Calls
  // that come in between are answered Unavailable.
  JobManager* jobs() const { return jobs_.load(std::memory_order_acquire); }
  void set_jobs(JobManager* jobs) {
    jobs_.store(jobs, std::memory_order_release);
  }

 private:
  std::atomic<JobManager*> jobs_{nullptr};
};

}  // namespace quantd

#endif  // QUANTD_SERVER_SERVICE_CONTEXT_H_
