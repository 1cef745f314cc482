// AWQ's search for clipping ranges (Lin et al., arXiv:2306.00978, reference
// code auto_clip.py): a transform stage that replaces the target. For every row
// and group g of the solver's grid,
//
//   m(i) = (1 - i / steps) max|w|,  i = 0 .. max_shrink * steps - 1
//   error(i) = d^T H_gg d,  d = w - Q(clamp(w, -m(i), m(i)))
//
// and the weights become clamp(w, -m, m) of the first least error. H_gg is the
// group's block of the second moment (the reference code takes a sample of 512
// tokens).
#ifndef QUANTD_QUANTIZERS_STAGES_CLIP_H_
#define QUANTD_QUANTIZERS_STAGES_CLIP_H_

#include <memory>

#include "quantd/v1/stages.pb.h"
#include "quantizers/stage.h"

namespace quantd {

std::unique_ptr<Stage> NewClipStage(const v1::ClipStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_CLIP_H_
