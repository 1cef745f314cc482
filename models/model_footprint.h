// What the parts of a model weigh, in memory and on disk, from configuration
// and headers alone: the basis of every forecast.
//
// All blocks of a model have one shape, so one stands for all.
//
// Thread-compatible plain data and free functions.
#ifndef QUANTD_MODELS_MODEL_FOOTPRINT_H_
#define QUANTD_MODELS_MODEL_FOOTPRINT_H_

#include <cstdint>

#include "models/checkpoint.h"
#include "models/model_description.h"

namespace quantd {

struct ModelFootprint {
  ModelDescription description;
  // --- on disk
  uint64_t weight_bytes = 2;     // of one stored weight of a linear layer
  uint64_t outer_bytes = 0;      // embedding, final norm, head
  uint64_t other_bytes = 0;      // of one block, beside its linear weights
  uint64_t companion_bytes = 0;  // tokenizer and generation files
  uint64_t tokenizer_bytes = 0;  // tokenizer.json alone
  // --- in memory
  // Of one block's compressed layers, beside their decoded weights; 0 for a
  // checkpoint in floating point.
  uint64_t compressed_bytes = 0;
};

// REQUIRES: `description` is that of the checkpoint.
ModelFootprint FootprintOf(const Checkpoint& checkpoint,
                           const ModelDescription& description);

// One block loaded: its linear layers, norms and biases in float32.
uint64_t FloatBlockBytes(const ModelDescription& description);

// The output matrix in float32.
uint64_t FloatHeadBytes(const ModelDescription& description);

// The most that Block::Forward() holds at once beside its input, for `rows`
// tokens. An upper bound for mixtures of experts (all tokens at one expert).
uint64_t ForwardBytes(const ModelDescription& description, int64_t rows);

// Multiply-adds of one token through one block, times two; attention's own
// products with sequences of `tokens`.
double ForwardFlops(const ModelDescription& description, int64_t tokens);

}  // namespace quantd

#endif  // QUANTD_MODELS_MODEL_FOOTPRINT_H_
