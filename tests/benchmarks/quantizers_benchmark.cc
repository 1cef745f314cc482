#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "benchmark/benchmark.h"
#include "quantizers/grids/affine.h"
#include "quantizers/stages/gptq.h"

namespace quantd {
namespace {

// BM_Gptq/<rows>/<cols>: one layer, 4 bits, group 64, all included.
void BM_Gptq(benchmark::State& state) {
  const auto device = NewCpuDevice(0);
  ExecutionContext ctx(device.get());
  const int64_t rows = state.range(0);
  const int64_t cols = state.range(1);
  std::mt19937 engine(1);
  auto random = [&](int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& v : values) v = static_cast<float>(engine()) * 0x1p-31f - 1;
    return values;
  };
  const auto weight = random(rows * cols);
  const int64_t tokens = 2 * cols;
  SecondMomentAccumulator accumulator(cols);
  accumulator.Add(Tensor::FromValues({tokens, cols}, random(tokens * cols)), 4,
                  ctx);
  const SquareMatrix h = std::move(accumulator).Finish();
  GptqOptions options;
  AffineGridOptions affine;
  affine.group_size = 64;
  for (auto _ : state) {
    const auto factor = FactorForGptq<float>(h, options, ctx);
    if (!factor.ok()) {
      state.SkipWithError(factor.status().ToString().c_str());
      break;
    }
    AffineLayerGrid<float> grid(rows, cols, affine);
    auto result = QuantizeGptq<float>(rows, cols, weight.data(), nullptr,
                                      *factor, options, grid, ctx);
    if (!result.ok()) state.SkipWithError(result.status().ToString().c_str());
  }
  state.SetItemsProcessed(state.iterations() * rows * cols);
}
BENCHMARK(BM_Gptq)
    ->Args({256, 256})
    ->Args({256, 768})
    ->Args({1024, 1024})
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace quantd
