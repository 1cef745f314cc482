// Keeps what calibration gathered, by content, so that recipes on the same
// model and text share one calibration pass.
//
//   <directory>/<key>.safetensors    one set of one block
//
// The key is a digest of everything the numbers depend on (StatisticsKey). Only
// statistics of the uncompressed network are worth keeping: what a set sees
// behind compressed layers belongs to one recipe.
//
// Several processes may share a directory: files appear whole, and one that
// disappears or is damaged is merely gathered again.
#ifndef QUANTD_QUANTIZERS_STATISTICS_STORE_H_
#define QUANTD_QUANTIZERS_STATISTICS_STORE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "quantizers/stage.h"

namespace quantd {

// What the statistics of a set depend on.
struct StatisticsKey {
  std::string model_digest;
  std::string calibration_digest;  // of the windows' tokens and their length
  std::string arithmetic;          // device and compute type
  StatisticsRequest request;
  int block = 0;
  int set = 0;

  // SHA-256 in hexadecimal.
  std::string Digest() const;
};

class StatisticsStore {
 public:
  // An empty directory name keeps nothing. After a Put() the oldest files go
  // until `max_bytes` are kept.
  StatisticsStore(std::string directory, uint64_t max_bytes)
      : directory_(std::move(directory)), max_bytes_(max_bytes) {}

  // Whether anything can be found or kept.
  bool enabled() const { return !directory_.empty() && max_bytes_ > 0; }

  // The statistics of `cols` input channels under `key`, bit for bit as they
  // were put. nullopt: none, or not readable.
  std::optional<LayerStatistics> Find(const StatisticsKey& key,
                                      int64_t cols) const;

  // Statistics larger than the whole store are not kept. Errors of the file
  // system; the run can go on without.
  absl::Status Put(const StatisticsKey& key,
                   const LayerStatistics& statistics) const;

 private:
  std::string PathOf(const StatisticsKey& key) const;

  const std::string directory_;
  const uint64_t max_bytes_;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_STATISTICS_STORE_H_
