#include "quantizers/run_progress.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace quantd {
namespace {

// What a survey or the sensitivity pass counts of the progress that is left
// when it begins. It rounds all weights several times, or differentiates them;
// the blocks after it do so once or in calibrated sweeps.
constexpr double kBeforeBlocksShare = 0.5;

// What compressing a block's layers counts of its progress when the block is
// reconstructed afterwards.
constexpr double kCompressShare = 0.15;

// What all blocks count of it when the network is tuned afterwards, and where
// that ends: the artifact is still to be written.
constexpr double kBlocksShare = 0.4;
constexpr double kNetworkEnd = 0.99;

double ShareOf(const TuningStep& made, int64_t steps) {
  return static_cast<double>(made.step + 1) / static_cast<double>(steps);
}

TrainingProgress TrainingOf(const TuningStep& made, int64_t steps) {
  return {made.step + 1, steps, made.loss, made.learning_rate};
}

}  // namespace

void RunProgress::Report(absl::string_view phase, uint64_t done, uint64_t total,
                         double fraction, std::string detail,
                         std::optional<TrainingProgress> training) {
  ProgressUpdate update;
  update.phase = std::string(phase);
  update.done = done;
  update.total = total;
  update.fraction = fraction;
  update.detail = std::move(detail);
  update.training = training;
  ctx_.ReportProgress(update);
}

void RunProgress::BeforeBlocks(absl::string_view phase, uint64_t done,
                               uint64_t total, const std::string& detail) {
  Report(phase, done, total,
         FractionAt(kBeforeBlocksShare * static_cast<double>(done) /
                    static_cast<double>(total)),
         detail);
}

void RunProgress::Ended() { ended_ = FractionAt(kBeforeBlocksShare); }

double RunProgress::BlockFraction(int k, double part) const {
  const double done = (k + part) / (blocks_ + 0.1);
  return FractionAt(tunes_network_ ? kBlocksShare * done : done);
}

void RunProgress::Block(absl::string_view phase, int k,
                        const std::string& detail, double part) {
  Report(phase, static_cast<uint64_t>(k), static_cast<uint64_t>(blocks_),
         BlockFraction(k, part), detail);
}

void RunProgress::Compress(absl::string_view phase, int k,
                           const std::string& detail, double share) {
  Block(phase, k, detail, reconstructs_ ? kCompressShare * share : share);
}

void RunProgress::Tune(int k, absl::string_view block, const TuningStep& made,
                       int64_t steps) {
  const double share = ShareOf(made, steps);
  Report("tune", static_cast<uint64_t>(k), static_cast<uint64_t>(blocks_),
         BlockFraction(k, kCompressShare + (1 - kCompressShare) * share),
         absl::StrCat(block, " ", DescribeStep(made, steps)),
         TrainingOf(made, steps));
}

void RunProgress::TuneNetwork(const TuningStep& made, int64_t steps) {
  const double share = ShareOf(made, steps);
  Report("distill", static_cast<uint64_t>(made.step + 1),
         static_cast<uint64_t>(steps),
         FractionAt(kBlocksShare + (kNetworkEnd - kBlocksShare) * share),
         DescribeStep(made, steps), TrainingOf(made, steps));
}

}  // namespace quantd
