// A Llama checkpoint of about 1.1 billion random parameters (the shape of
// TinyLlama: 22 blocks, 2.2 GB of BF16 in three shards), with a byte tokenizer
// and a text to go with it. Written in a stream: half a minute and little
// memory. The bytes are the same everywhere.
#ifndef QUANTD_TESTS_LARGE_LARGE_CHECKPOINT_H_
#define QUANTD_TESTS_LARGE_LARGE_CHECKPOINT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace quantd::test {

struct LargeCheckpointOptions {
  int blocks = 22;
  int hidden = 2048;
  int heads = 32;
  int kv_heads = 4;
  int intermediate = 5632;
  int vocabulary = 32000;
  int context = 2048;
  int shards = 3;
  uint64_t seed = 1;
};

// Creates `directory` and fills it: config.json, tokenizer.json, the shards
// and their index. ResourceExhausted: disk full.
absl::Status WriteLargeCheckpoint(const std::string& directory,
                                  const LargeCheckpointOptions& options = {});

// `count` bytes of words made of random letters.
std::string LargeText(size_t count, uint64_t seed);

}  // namespace quantd::test

#endif  // QUANTD_TESTS_LARGE_LARGE_CHECKPOINT_H_
