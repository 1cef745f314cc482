// What a recipe run says of its progress, and how the parts of a run add up to
// the whole: surveys and the sensitivity pass, blocks, tuning of the network.
//
// Confined to one thread.
#ifndef QUANTD_QUANTIZERS_RUN_PROGRESS_H_
#define QUANTD_QUANTIZERS_RUN_PROGRESS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "kernels/execution_context.h"
#include "quantizers/tuning_steps.h"

namespace quantd {

class RunProgress {
 public:
  // `reconstructs`: blocks are tuned when their layers are compressed;
  // `tunes_network`: the network is when its blocks are.
  RunProgress(int blocks, bool reconstructs, bool tunes_network,
              ExecutionContext& ctx)
      : blocks_(blocks),
        reconstructs_(reconstructs),
        tunes_network_(tunes_network),
        ctx_(ctx) {}

  // What comes before the first block, `done` of `total` parts of it; Ended()
  // when a phase of that is over.
  void BeforeBlocks(absl::string_view phase, uint64_t done, uint64_t total,
                    const std::string& detail);
  void Ended();

  // `part` of block k is done.
  void Block(absl::string_view phase, int k, const std::string& detail,
             double part = 0);
  // `share` of the compression of block k's layers, or of its tuning.
  void Compress(absl::string_view phase, int k, const std::string& detail,
                double share);
  // A step of tuning block k.
  void Tune(int k, absl::string_view block, const TuningStep& made,
            int64_t steps);

  void TuneNetwork(const TuningStep& made, int64_t steps);

 private:
  void Report(absl::string_view phase, uint64_t done, uint64_t total,
              double fraction, std::string detail,
              std::optional<TrainingProgress> training = std::nullopt);
  double BlockFraction(int k, double part) const;
  // Of the whole run, when `part` of what is left after Ended() is done.
  double FractionAt(double part) const { return ended_ + (1 - ended_) * part; }

  const int blocks_;
  const bool reconstructs_;
  const bool tunes_network_;
  ExecutionContext& ctx_;
  double ended_ = 0;  // of the run
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_RUN_PROGRESS_H_
