// Calibration windows: runs of tokens drawn at random positions of one
// tokenized text, as in arXiv:2210.17323 section 4.
#ifndef QUANTD_QUANTIZERS_CALIBRATION_H_
#define QUANTD_QUANTIZERS_CALIBRATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace quantd {

struct CalibrationWindows {
  int64_t window_tokens = 0;
  // All windows, one after the other.
  std::vector<int32_t> tokens;

  int64_t count() const {
    return window_tokens == 0
               ? 0
               : static_cast<int64_t>(tokens.size()) / window_tokens;
  }

  absl::Span<const int32_t> Window(int64_t index) const {
    return absl::MakeConstSpan(tokens).subspan(
        static_cast<size_t>(index * window_tokens),
        static_cast<size_t>(window_tokens));
  }
};

// SHA-256 of the windows' tokens and their length.
std::string CalibrationDigest(const CalibrationWindows& windows);

// `count` windows whose starts are uniform over all positions where a whole
// window fits, with repetition; a function of the arguments alone.
// InvalidArgument when the text is shorter than one window.
absl::StatusOr<CalibrationWindows> DrawWindows(
    absl::Span<const int32_t> text_tokens, int64_t count, int64_t window_tokens,
    uint64_t seed);

// Every window `copies` times, copy i rolled by i / copies of its length, so
// that each part of it is once at the beginning (Sung et al., RSQ,
// arXiv:2503.01820, section 3.4). REQUIRES: copies >= 1.
CalibrationWindows RolledCopies(const CalibrationWindows& windows,
                                int64_t copies);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_CALIBRATION_H_
