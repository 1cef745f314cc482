// What a recipe run keeps on disk between attempts (recipe_run.h draws the
// folder). Block records are written after the shard they describe, so a
// record vouches for its shard.
#ifndef QUANTD_QUANTIZERS_RUN_WORKSPACE_H_
#define QUANTD_QUANTIZERS_RUN_WORKSPACE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"
#include "quantizers/stage.h"

namespace quantd {

// One finished block.
struct BlockRecord {
  // Layer name -> header of CompressedLinear::Save(); only compressed layers.
  nlohmann::json headers = nlohmann::json::object();
  std::vector<LayerReport> reports;
  // Of a stage that reconstructs blocks.
  std::optional<BlockReport> reconstruction;
  // Of the compressed layers.
  uint64_t stored_bits = 0;
  uint64_t weights = 0;
  double bits_per_weight() const {
    return weights == 0 ? 0
                        : static_cast<double>(stored_bits) /
                              static_cast<double>(weights);
  }
  // Of the shard; checked before the block is taken over.
  std::string shard_digest;
};

nlohmann::json ReportToJson(const LayerReport& report);
nlohmann::json ReportToJson(const BlockReport& report);

class RunWorkspace {
 public:
  // Prepares `directory` for the plan: keeps what an earlier attempt at the
  // same plan left, otherwise empties it. `plan` is compared as text.
  static absl::StatusOr<RunWorkspace> Open(const std::string& directory,
                                           const nlohmann::json& plan);

  const std::string& artifact_directory() const { return artifact_; }
  // The checkpoint that a stage made of the source (checkpoint_transform.h),
  // and whether it was finished.
  const std::string& transformed_directory() const { return transformed_; }
  bool transformed() const;
  absl::Status MarkTransformed() const;
  // Of single weights (weight_sensitivity.h).
  const std::string& sensitivity_directory() const { return sensitivity_; }
  // The compressed checkpoint before the network is tuned.
  const std::string& untuned_directory() const { return untuned_; }
  // For files that only this attempt needs.
  const std::string& scratch_directory() const { return blocks_; }

  // The record of `block` if it is finished and its shard at `shard_path` is
  // intact; nullopt otherwise (it is then computed again).
  std::optional<BlockRecord> FindBlock(int block,
                                       const std::string& shard_path) const;

  absl::Status WriteBlock(int block, const BlockRecord& record) const;

  // What the `index`-th survey of the plan found (Stage::Survey); nullopt:
  // nothing readable is there.
  std::optional<nlohmann::json> FindSurvey(int index) const;
  absl::Status WriteSurvey(int index, const nlohmann::json& found) const;

 private:
  explicit RunWorkspace(const std::string& directory)
      : blocks_(directory + "/blocks"),
        artifact_(directory + "/artifact"),
        transformed_(directory + "/transformed"),
        sensitivity_(directory + "/sensitivity"),
        untuned_(directory + "/untuned") {}

  std::string RecordPath(int block) const;
  std::string TransformedMarker() const;
  std::string SurveyPath(int index) const;

  std::string blocks_;
  std::string artifact_;
  std::string transformed_;
  std::string sensitivity_;
  std::string untuned_;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_RUN_WORKSPACE_H_
