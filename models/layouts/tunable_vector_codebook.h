// A vector-codebook.v1 layer as gradient descent sees it
// (models/tunable_linear.h): the entries of all codebooks are one table, group
// after group.
#ifndef QUANTD_MODELS_LAYOUTS_TUNABLE_VECTOR_CODEBOOK_H_
#define QUANTD_MODELS_LAYOUTS_TUNABLE_VECTOR_CODEBOOK_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "models/layouts/vector_codebook.h"
#include "models/tunable_linear.h"

namespace quantd {

// `columns` are the channels of every group.
std::unique_ptr<TunableLinear> NewTunableVectorCodebook(
    VectorCodebookWeights weights, std::vector<std::vector<int64_t>> columns);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_TUNABLE_VECTOR_CODEBOOK_H_
