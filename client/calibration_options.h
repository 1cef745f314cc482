// The options that say which text calibrated methods learn from.
//
// Confined to the command's thread.
#ifndef QUANTD_CLIENT_CALIBRATION_OPTIONS_H_
#define QUANTD_CLIENT_CALIBRATION_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "client/session.h"
#include "quantd/v1/job.pb.h"

namespace quantd {

class CalibrationOptions {
 public:
  void Define(CLI::App& app);

  // Uploads the text and writes what was given into `spec`.
  absl::Status Apply(Session& session, v1::QuantizeSpec* spec) const;

 private:
  std::string text_;
  std::optional<uint32_t> windows_, window_tokens_;
  std::optional<uint64_t> seed_;
};

}  // namespace quantd

#endif  // QUANTD_CLIENT_CALIBRATION_OPTIONS_H_
