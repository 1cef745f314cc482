#include <cstdint>
#include <memory>
#include <vector>

#include "benchmark/benchmark.h"
#include "kernels/device.h"

namespace quantd {
namespace {

std::vector<float> Ramp(int64_t count) {
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i % 61) / 61.0f - 0.5f;
  }
  return values;
}

// BM_Gemm/<rows>/<out>/<in>/<bf16>: a linear layer, both cores.
void BM_Gemm(benchmark::State& state) {
  const auto device = NewCpuDevice(0);
  GemmArgs args;
  args.transpose_b = Transpose::kYes;
  args.m = state.range(0);
  args.n = state.range(1);
  args.k = state.range(2);
  args.compute = state.range(3) != 0 ? ComputeType::kBF16 : ComputeType::kF32;
  const auto a = Ramp(args.m * args.k);
  const auto b = Ramp(args.n * args.k);
  std::vector<float> c(static_cast<size_t>(args.m * args.n));
  args.a = a.data();
  args.lda = args.k;
  args.b = b.data();
  args.ldb = args.k;
  args.c = c.data();
  args.ldc = args.n;
  for (auto _ : state) device->Gemm(args);
  state.SetLabel(device->gemm_name(args));
  state.counters["flops"] =
      benchmark::Counter(2.0 * static_cast<double>(args.m * args.n * args.k),
                         benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(BM_Gemm)
    ->ArgsProduct({{512, 4096}, {768, 2048}, {256, 2048}, {0, 1}})
    ->UseRealTime();

// BM_CausalAttention/<sequences>/<tokens>/<heads>/<head_dim>
void BM_CausalAttention(benchmark::State& state) {
  const auto device = NewCpuDevice(0);
  const int64_t count = state.range(0);
  const int64_t tokens = state.range(1);
  AttentionArgs args;
  args.heads = args.kv_heads = state.range(2);
  args.head_dim = state.range(3);
  args.scale = 0.1f;
  const int64_t cols = args.heads * args.head_dim;
  const auto x = Ramp(count * tokens * cols);
  std::vector<float> out(x.size());
  std::vector<AttentionSequence> sequences;
  for (int64_t s = 0; s < count; ++s) {
    const float* rows = x.data() + s * tokens * cols;
    sequences.push_back(
        {tokens, tokens, rows, rows, rows, out.data() + s * tokens * cols});
  }
  args.sequences = sequences.data();
  args.sequence_count = count;
  for (auto _ : state) device->Attention(args);
  state.SetItemsProcessed(state.iterations() * count * tokens);
}
BENCHMARK(BM_CausalAttention)
    ->Args({8, 512, 8, 32})
    ->Args({2, 2048, 8, 64})
    ->UseRealTime();

// BM_NegativeLogLikelihood/<rows>/<vocabulary>
void BM_NegativeLogLikelihood(benchmark::State& state) {
  const auto device = NewCpuDevice(0);
  const auto logits = Ramp(state.range(0) * state.range(1));
  const std::vector<int32_t> targets(static_cast<size_t>(state.range(0)), 3);
  std::vector<double> nll(targets.size());
  for (auto _ : state) {
    device->NegativeLogLikelihood(logits.data(), targets.data(), state.range(0),
                                  state.range(1), nll.data());
  }
  state.SetBytesProcessed(state.iterations() *
                          static_cast<int64_t>(logits.size() * 4));
}
BENCHMARK(BM_NegativeLogLikelihood)
    ->Args({512, 4096})
    ->Args({64, 128256})
    ->UseRealTime();

// BM_DecodePackedInt/<rows>/<cols>/<bits>
void BM_DecodePackedInt(benchmark::State& state) {
  const auto device = NewCpuDevice(0);
  PackedIntArgs args;
  args.rows = state.range(0);
  args.cols = state.range(1);
  args.bits = static_cast<int>(state.range(2));
  args.group_size = 64;
  args.groups = args.cols / 64;
  const std::vector<uint8_t> codes(
      static_cast<size_t>(args.rows * (args.cols * args.bits + 7) / 8), 0x5A);
  const auto scales = Ramp(args.rows * args.groups);
  const std::vector<uint8_t> zeros(scales.size(), 1);
  std::vector<float> out(static_cast<size_t>(args.rows * args.cols));
  args.codes = codes.data();
  args.scales = scales.data();
  args.zeros = zeros.data();
  args.out = out.data();
  for (auto _ : state) device->DecodePackedInt(args);
  state.SetItemsProcessed(state.iterations() * args.rows * args.cols);
}
BENCHMARK(BM_DecodePackedInt)
    ->ArgsProduct({{1024}, {1024}, {2, 3, 4, 8}})
    ->UseRealTime();

}  // namespace
}  // namespace quantd
