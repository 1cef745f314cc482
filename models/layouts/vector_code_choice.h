// The codes of a vector-codebook.v1 layer while they are chosen anew
// (models/code_choice.h). Units are the blocks of all groups, group after
// group, in the order of codes.
#ifndef QUANTD_MODELS_LAYOUTS_VECTOR_CODE_CHOICE_H_
#define QUANTD_MODELS_LAYOUTS_VECTOR_CODE_CHOICE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "models/code_choice.h"
#include "models/compressed_linear.h"
#include "models/layouts/vector_codebook.h"
#include "models/tunable_linear.h"

namespace quantd {

// `columns` are the channels of every group. The entries of `trained` take the
// place of those of `weights`. `store` makes the layer from codes.
std::unique_ptr<CodeChoice> NewVectorCodeChoice(
    VectorCodebookWeights weights, std::vector<std::vector<int64_t>> columns,
    const StoredParameters& trained,
    std::function<absl::StatusOr<std::shared_ptr<const CompressedLinear>>(
        const VectorCodebookWeights&)>
        store);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_VECTOR_CODE_CHOICE_H_
