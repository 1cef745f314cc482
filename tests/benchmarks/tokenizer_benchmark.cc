#include <string>

#include "base/file.h"
#include "benchmark/benchmark.h"
#include "models/tokenizer.h"
#include "tests/testing/project_paths.h"

namespace quantd {
namespace {

constexpr char kModel[] = "deploy/demo/demo-llama-1m";

// The tokenizer of a directory over the bundled evaluation text.
void BM_Encode(benchmark::State& state, const std::string& directory) {
  const auto tokenizer = LoadTokenizer(ProjectPath(directory));
  const auto text = ReadFile(ProjectPath(kModel) + "/eval.txt");
  if (!tokenizer.ok() || !text.ok()) {
    state.SkipWithError("a bundled file is missing");
    return;
  }
  for (auto _ : state) {
    benchmark::DoNotOptimize((*tokenizer)->Encode(*text));
  }
  state.SetBytesProcessed(state.iterations() *
                          static_cast<int64_t>(text->size()));
}
BENCHMARK_CAPTURE(BM_Encode, bundled_model, kModel)
    ->Unit(benchmark::kMillisecond);

// One of each family: SentencePiece's own, Unigram, WordPiece, pairs.
BENCHMARK_CAPTURE(BM_Encode, spm_unigram, "tests/golden/tokenizers/spm-unigram")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Encode, spm_bpe, "tests/golden/tokenizers/spm-bpe-bytes")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Encode, unigram, "tests/golden/tokenizers/unigram-t5")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Encode, word_piece,
                  "tests/golden/tokenizers/wordpiece-bert")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Encode, character_pairs,
                  "tests/golden/tokenizers/bpe-llama")
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Encode, byte_pairs, "tests/golden/tokenizers/bytes-gpt2")
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace quantd
