// Learned mappings: the entries of a layer's tables, and which of them each
// weight takes, as a function that gradient descent can follow
// (models/tunable_linear.h). JLCM: jointly learnable codebooks and mappings
// (Yvinec et al., arXiv:2309.17361).
//
//   weight[r, c] = scale[r] C[t, k],  t the table of row r,
//                                     k the greatest of the logits of (r, c)
//
// Parameters: logits [rows * cols, 2^bits], then with the range the tables
// [tables, 2^bits] in units of their mean gap when they came, and where rows
// have scales the logarithms [rows] of what these are multiplied by. One
// learning rate, and one factor of it, then do for layers of any size: choices
// of ours, as are the first logits, with w the original weight,
//
//   -|w / scale - C_k| / gap,
//
// where the entry that the solver chose is put a tenth above all others if it
// is not the greatest anyhow. Entries follow the chain rule, logits the rule
// that LearnedOptions::mapping_rule names (ops::ChoiceRule,
// tensor/estimators.h).
//
// What is computed with is what is stored: entries and scales in binary16. What
// nobody changed freezes to the solver's layer, byte for byte. Tables are not
// sorted again and entries that no weight takes stay where they are.
//
// Memory: every weight has 2^bits logits, with their gradient and what the
// optimizer keeps of them.
#ifndef QUANTD_QUANTIZERS_LEARNED_MAPPING_H_
#define QUANTD_QUANTIZERS_LEARNED_MAPPING_H_

#include <memory>

#include "absl/status/statusor.h"
#include "models/compressed_linear.h"
#include "models/tunable_linear.h"
#include "quantizers/learned_layers.h"
#include "tensor/tensor.h"

namespace quantd {

// `start` has the tables and the codes to begin with; `weight` is the original.
// InvalidArgument: the layer is neither row-codebook.v1 nor
// grouped-codebook.v1. REQUIRES: equal shapes.
absl::StatusOr<std::unique_ptr<TunableLinear>> NewLearnedMapping(
    const CompressedLinear& start, const Tensor& weight,
    const LearnedOptions& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_LEARNED_MAPPING_H_
