// Durable submissions over loopback: CreateJob answers after the synced write.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "benchmark/benchmark.h"
#include "client/client.h"
#include "tests/testing/in_process_server.h"
#include "tests/testing/project_paths.h"

namespace quantd {
namespace {

// BM_CreateJob/<callers>: calls per second over all callers. The server's
// directory is that of TMPDIR: a memory file system there has no fsync cost
// and says nothing.
void BM_CreateJob(benchmark::State& state) {
  const int callers = static_cast<int>(state.range(0));
  auto server = test::InProcessServer::Start();
  if (!server.ok()) {
    state.SkipWithError(server.status().ToString().c_str());
    return;
  }
  const std::string address =
      absl::StrCat("127.0.0.1:", (*server)->server().port());
  Client client({address});
  v1::CreateModelRequest model;
  model.set_model_id("demo");
  model.set_path(ProjectPath("deploy/demo/demo-llama-1m"));
  if (!client.CreateModel(model).ok()) {
    state.SkipWithError("the bundled model cannot be registered");
    return;
  }
  constexpr int kCallsPerCaller = 50;
  std::atomic<int> failures{0};
  for (auto _ : state) {
    std::vector<std::thread> threads;
    for (int t = 0; t < callers; ++t) {
      threads.emplace_back([&] {
        Client own({address});
        v1::JobSpec spec;
        spec.mutable_quantize()->set_model("demo");
        spec.mutable_quantize()->set_method("rtn");
        for (int i = 0; i < kCallsPerCaller; ++i) {
          if (!own.CreateJob(spec, {}).ok()) ++failures;
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  if (failures > 0) state.SkipWithError("a submission failed");
  state.SetItemsProcessed(state.iterations() * callers * kCallsPerCaller);
}
BENCHMARK(BM_CreateJob)
    ->Arg(1)
    ->Arg(32)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace quantd
