// Weights calibration tokens by importance (token_weights.h): a statistics
// stage, which only declares what it needs and composes with every solver that
// uses second moments. With one, reports measure output errors under the
// weighted second moment.
#ifndef QUANTD_QUANTIZERS_STAGES_TOKEN_IMPORTANCE_H_
#define QUANTD_QUANTIZERS_STAGES_TOKEN_IMPORTANCE_H_

#include <memory>

#include "quantd/v1/stages.pb.h"
#include "quantizers/stage.h"

namespace quantd {

std::unique_ptr<Stage> NewTokenImportanceStage(
    const v1::TokenImportanceStage& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STAGES_TOKEN_IMPORTANCE_H_
