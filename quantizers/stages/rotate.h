// Rotations of the whole network (network_rotation.h) and, layer by layer, of
// the inputs of the layers that write to the residual stream: a transform stage
// whose result decodes to the network's own basis (models/layouts/
// input_rotation.h).
//
// The reference code turns the input of {o} only across heads at inference,
// since values are turned within theirs; here it is turned whole, which costs
// the same.
#ifndef QUANTD_QUANTIZERS_STAGES_ROTATE_H_
#define QUANTD_QUANTIZERS_STAGES_ROTATE_H_

#include <memory>

#include "quantd/v1/stages.pb.h"
#include "quantizers/stage.h"

namespace quantd {

std::unique_ptr<Stage> NewRotateStage(const v1::RotateStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_ROTATE_H_
