// A table of values per output channel by exact weighted k-means
// (scalar_kmeans.h), kept as layout "row-codebook.v1".
//
// SqueezeLLM (Kim et al., arXiv:2306.07629, section 4.1) with the Fisher
// information as importance; unweighted k-means without.
//
// With row_groups = G, one table for every group of output channels, kept as
// layout "grouped-codebook.v1" (JLCM, Yvinec et al., arXiv:2309.17361: neuron
// grouping). Before the first weight is quantized,
//
//   1. scale[r] = root mean square of row r, in binary16; rows are divided by
//      it;
//   2. a row is described by eight quantiles of its sizes |w| / scale, and
//      k-means of these (vector_kmeans.h, seed 0) makes G groups;
//   3. the table of a group is the k-means of all its weights / scale; errors
//      count scale^2 times, which makes them errors of the weights.
//
// Where a group has more than kMostFittedValues weights, 3 goes by the means of
// runs of neighbouring values, so many at most: it finds the best of the tables
// that divide no run.
#ifndef QUANTD_QUANTIZERS_GRIDS_CODEBOOK_H_
#define QUANTD_QUANTIZERS_GRIDS_CODEBOOK_H_

#include <cstdint>
#include <memory>

#include "quantd/v1/grids.pb.h"
#include "quantizers/grid.h"

namespace quantd {

// Of one table. Exact k-means of n values takes 2^bits n log2 n steps and
// 2^bits n numbers.
inline constexpr int64_t kMostFittedValues = 1 << 16;

std::unique_ptr<Grid> NewCodebookGrid(const v1::CodebookGrid& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_GRIDS_CODEBOOK_H_
