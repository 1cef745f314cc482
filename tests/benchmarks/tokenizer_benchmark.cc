#include <memory>
#include <string>

#include "base/file.h"
#include "benchmark/benchmark.h"
#include "models/tokenizer.h"
#include "tests/testing/project_paths.h"

namespace quantd {
namespace {

// The bundled model's tokenizer over its evaluation text.
void BM_Encode(benchmark::State& state) {
  const std::string directory = ProjectPath("deploy/demo/demo-llama-1m");
  const auto tokenizer = LoadTokenizer(directory);
  const auto text = ReadFile(directory + "/eval.txt");
  if (!tokenizer.ok() || !text.ok()) {
    state.SkipWithError("the bundled model is missing");
    return;
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize((*tokenizer)->Encode(*text));
  }
  state.SetBytesProcessed(state.iterations() *
                          static_cast<int64_t>(text->size()));
}
BENCHMARK(BM_Encode)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace quantd
