// Cosines and sines of the rotary position embedding.
#ifndef QUANTD_MODELS_ROTARY_TABLE_H_
#define QUANTD_MODELS_ROTARY_TABLE_H_

#include <vector>

#include "models/model_description.h"
#include "tensor/tensor.h"

namespace quantd {

struct RotaryTable {
  Tensor cos;  // [tokens, head_dim / 2]
  Tensor sin;
};

// Angular frequency of every pair, after scaling.
std::vector<double> RotaryFrequencies(const RopeDescription& rope,
                                      int head_dim);

// Positions 0 .. tokens - 1.
RotaryTable MakeRotaryTable(const RopeDescription& rope, int head_dim,
                            int64_t tokens);

}  // namespace quantd

#endif  // QUANTD_MODELS_ROTARY_TABLE_H_
