// A table of values per output channel by exact weighted k-means
// (scalar_kmeans.h), kept as layout "row-codebook.v1".
//
// SqueezeLLM (Kim et al., arXiv:2306.07629, section 4.1) with the Fisher
// information as importance; unweighted k-means without.
#ifndef QUANTD_QUANTIZERS_GRIDS_CODEBOOK_H_
#define QUANTD_QUANTIZERS_GRIDS_CODEBOOK_H_

#include <memory>

#include "quantd/v1/grids.pb.h"
#include "quantizers/grid.h"

namespace quantd {

std::unique_ptr<Grid> NewCodebookGrid(const v1::CodebookGrid& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_GRIDS_CODEBOOK_H_
