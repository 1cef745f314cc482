// RunStatistics: what a recipe run's stages learn of the inputs of each set of
// layers. Found in the store that recipes share (statistics_store.h), or
// gathered from the calibration windows, which run through the network only
// then.
//
// Confined to one thread.
#ifndef QUANTD_QUANTIZERS_RUN_STATISTICS_H_
#define QUANTD_QUANTIZERS_RUN_STATISTICS_H_

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/model.h"
#include "quantizers/run_flows.h"
#include "quantizers/stage.h"
#include "quantizers/statistics_store.h"

namespace quantd {

class RunStatistics {
 public:
  // `common_key` is what the keys of all sets have in common; `request`, what
  // the recipe's stages need. `request` and `flows` outlive the object.
  RunStatistics(StatisticsStore store, StatisticsKey common_key,
                const StatisticsRequest& request, RunFlows& flows)
      : store_(std::move(store)),
        common_key_(std::move(common_key)),
        request_(request),
        flows_(flows) {}

  // Another block is at work.
  void Begin() { token_weights_.reset(); }

  // Finds out how calibration tokens count in block k, which is `block`, while
  // it is in float weights. Of() does so where nobody asked before.
  absl::Status WeighTokens(int k, Block& block, ExecutionContext& ctx);

  // The statistics of sets first .. last of block k. While nothing in front of
  // them is compressed (`untouched`) they are anyone's: found in the store, or
  // left there for the next recipe.
  absl::StatusOr<std::map<int, LayerStatistics>> Of(int k, Block& block,
                                                    int first, int last,
                                                    bool untouched,
                                                    ExecutionContext& ctx);

  // Sets that were found in the store.
  int reused() const { return reused_; }

 private:
  StatisticsKey KeyOf(int block, int set) const;

  const StatisticsStore store_;
  const StatisticsKey common_key_;
  const StatisticsRequest& request_;
  RunFlows& flows_;
  // Of the block at work, as soon as they are known.
  std::optional<std::vector<float>> token_weights_;
  int reused_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_RUN_STATISTICS_H_
