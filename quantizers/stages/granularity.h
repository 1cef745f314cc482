// One group size per matrix by how much finer groups shrink the range of its
// weights:
//
//   g = cols; while g is even and g / 2 >= min_group_size and
//   rho(g / 2) < threshold: g = g / 2
//
// rho(g') is the least (or the mean), over all groups of g' channels, of the
// group's max|w| over that of the group of 2 g' channels it lies in; groups of
// zeros are passed over. Matrices with a few great channels get fine groups,
// even ones stay coarse. Source: Kim et al., FineQuant, arXiv:2308.09723, whose
// stopping rule is described in words only.
#ifndef QUANTD_QUANTIZERS_STAGES_GRANULARITY_H_
#define QUANTD_QUANTIZERS_STAGES_GRANULARITY_H_

#include <cstdint>
#include <memory>

#include "kernels/execution_context.h"
#include "quantd/v1/stages.pb.h"
#include "quantizers/outliers.h"
#include "quantizers/stage.h"
#include "tensor/tensor.h"

namespace quantd {

struct GranularityOptions {
  double threshold = 0.5;
  v1::GranularityStage::Criterion criterion = v1::GranularityStage::LEAST;
  int64_t min_group_size = 64;
};

// The group size for `weight`; weights of `outliers`, which may be null, do not
// count.
int64_t ChooseGroupSize(const Tensor& weight, const OutlierMask* outliers,
                        const GranularityOptions& options,
                        ExecutionContext& ctx);

std::unique_ptr<Stage> NewGranularityStage(const v1::GranularityStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_GRANULARITY_H_
