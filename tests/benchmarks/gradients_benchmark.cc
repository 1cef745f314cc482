// One training step of the demonstration model against its forward pass: loss
// of next tokens over windows of 512, gradients of all linear layers.
//
//   BM_Forward/<windows>, BM_ForwardAndBackward/<windows>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "models/model.h"
#include "tensor/gradient_tape.h"
#include "tensor/ops.h"
#include "tests/testing/project_paths.h"

namespace quantd {
namespace {

constexpr int64_t kWindowTokens = 512;

// All of the model in memory.
struct Loaded {
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<Model> model;
  std::vector<std::unique_ptr<Block>> blocks;
  std::vector<int32_t> tokens;
  std::vector<int32_t> targets;
};

std::unique_ptr<Loaded> Load(int64_t windows, ExecutionContext& ctx) {
  const std::string directory = SharedPath("models/tiny-llama-7m");
  if (!std::filesystem::exists(directory)) return nullptr;
  auto loaded = std::make_unique<Loaded>();
  loaded->checkpoint = *Checkpoint::Open(directory);
  loaded->model = *Model::Open(loaded->checkpoint);
  for (int k = 0; k < loaded->model->block_count(); ++k) {
    loaded->blocks.push_back(*loaded->model->LoadBlock(k, ctx));
  }
  std::mt19937_64 engine(1);
  const auto vocabulary =
      static_cast<uint64_t>(loaded->model->description().vocabulary_size);
  for (int64_t i = 0; i < windows * kWindowTokens; ++i) {
    loaded->tokens.push_back(static_cast<int32_t>(engine() % vocabulary));
  }
  loaded->targets = loaded->tokens;
  return loaded;
}

Tensor Loss(Loaded& loaded, const SequenceBatch& batch, ExecutionContext& ctx) {
  Tensor hidden = *loaded.model->Embed(loaded.tokens, batch, ctx);
  for (const auto& block : loaded.blocks) {
    hidden = *block->Forward(hidden, batch, ctx);
  }
  return ops::NegativeLogLikelihood(*loaded.model->Logits(hidden, ctx),
                                    loaded.targets, ctx);
}

void BM_Forward(benchmark::State& state) {
  const auto device = NewCpuDevice(0);
  ExecutionContext ctx(device.get());
  const auto loaded = Load(state.range(0), ctx);
  if (loaded == nullptr) return state.SkipWithError("no shared models");
  const auto batch = SequenceBatch::Uniform(state.range(0), kWindowTokens);
  for (auto _ : state) {
    benchmark::DoNotOptimize(Loss(*loaded, batch, ctx).data());
  }
}

void BM_ForwardAndBackward(benchmark::State& state) {
  const auto device = NewCpuDevice(0);
  ExecutionContext ctx(device.get());
  const auto loaded = Load(state.range(0), ctx);
  if (loaded == nullptr) return state.SkipWithError("no shared models");
  const auto batch = SequenceBatch::Uniform(state.range(0), kWindowTokens);
  for (auto _ : state) {
    GradientTape tape(ctx);
    std::vector<Tensor> weights;
    for (const auto& block : loaded->blocks) {
      for (Linear& layer : block->linears()) {
        weights.push_back(tape.Watch(layer.weight().Untracked()));
        layer.SetWeight(weights.back());
      }
    }
    const Tensor loss = Loss(*loaded, batch, ctx);
    Tensor seed = Tensor::Uninitialized(loss.shape());
    for (float& v : seed.values()) v = 1.0f / static_cast<float>(seed.size());
    const absl::Status done = tape.Backward({{loss, std::move(seed)}});
    if (!done.ok()) state.SkipWithError(done.ToString().c_str());
    for (const Tensor& weight : weights) {
      benchmark::DoNotOptimize(tape.Gradient(weight).data());
    }
  }
}

BENCHMARK(BM_Forward)
    ->Arg(1)
    ->Arg(4)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK(BM_ForwardAndBackward)
    ->Arg(1)
    ->Arg(4)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace quantd
