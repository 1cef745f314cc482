// A small Llama (or Mixtral) checkpoint written to a directory: two blocks,
// byte vocabulary, weights from a fixed generator. Deterministic and quick
// enough for unit tests that need a real network.
//
//   TempDir dir;
//   WriteTinyModel(dir.path());
//   ASSERT_OK_AND_ASSIGN(auto checkpoint, Checkpoint::Open(dir.path()));
#ifndef QUANTD_TESTS_TESTING_TINY_MODEL_H_
#define QUANTD_TESTS_TESTING_TINY_MODEL_H_

#include <cstdint>
#include <string>

#include "models/safetensors.h"

namespace quantd::test {

inline constexpr int kTinyVocabulary = 256;

struct TinyModelOptions {
  // More than the tokenizer's are padding.
  int vocabulary = kTinyVocabulary;
  int blocks = 2;
  int hidden = 32;
  int intermediate = 64;
  int heads = 4;
  int kv_heads = 2;
  int context = 64;
  uint64_t seed = 1;
  DType dtype = DType::kF32;
  // More than 0: Mixtral instead, so many experts in place of each
  // feed-forward part, one per token. The last expert's router scores equal the
  // first's, which wins, so that no token ever reaches the last.
  int experts = 0;
  // Weights that are finite, but products of them are not: all likelihoods are
  // NaN. Not of F16.
  bool overflows = false;
  // Of the head: 0 makes every token equally likely.
  float head_scale = 1;
};

// REQUIRES: `directory` exists.
void WriteTinyModel(const std::string& directory,
                    const TinyModelOptions& options = {});

// An OPT of the same sizes: layer norms, biases, learned positions. It has
// neither kv_heads nor experts nor a head of its own.
void WriteTinyOpt(const std::string& directory,
                  const TinyModelOptions& options = {});

// `count` printable bytes without structure.
std::string TinyText(size_t count, uint64_t seed = 7);

}  // namespace quantd::test

#endif  // QUANTD_TESTS_TESTING_TINY_MODEL_H_
