// The options that say by which metrics and tasks something is scored.
//
// Confined to the command's thread.
#ifndef QUANTD_CLIENT_SCORING_OPTIONS_H_
#define QUANTD_CLIENT_SCORING_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "client/session.h"
#include "client/task_options.h"
#include "quantd/v1/job.pb.h"

namespace quantd {

class ScoringOptions {
 public:
  void Define(CLI::App& app);

  // Uploads texts and data and writes what was given into `spec`.
  // InvalidArgument when there is nothing to score by. Whether the metrics need
  // a text, the server knows.
  absl::Status Apply(Session& session, v1::EvaluateSpec* spec) const;

 private:
  std::string text_;
  std::vector<std::string> metrics_;
  std::optional<uint32_t> max_windows_, batch_windows_;
  v1::ScoringOrder order_ = v1::SCORING_ORDER_AUTO;
  v1::AttributionGranularity granularity_ = v1::ATTRIBUTE_BLOCKS;
  std::optional<double> target_bits_;
  TaskOptions task_options_;
};

}  // namespace quantd

#endif  // QUANTD_CLIENT_SCORING_OPTIONS_H_
