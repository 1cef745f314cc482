#include "quantizers/calibration.h"

#include <random>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"

namespace quantd {
namespace {

// Uniform on [0, bound) by rejection. The standard's distributions differ
// between libraries; the engine does not.
uint64_t UniformBelow(std::mt19937_64& engine, uint64_t bound) {
  const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  uint64_t value = engine();
  while (value >= limit) value = engine();
  return value % bound;
}

}  // namespace

absl::StatusOr<CalibrationWindows> DrawWindows(
    absl::Span<const int32_t> text_tokens, int64_t count, int64_t window_tokens,
    uint64_t seed) {
  const int64_t total = static_cast<int64_t>(text_tokens.size());
  if (total < window_tokens) {
    return absl::InvalidArgumentError(
        absl::StrCat("calibration text has ", total,
                     " tokens, fewer than one window of ", window_tokens));
  }
  CalibrationWindows result;
  result.window_tokens = window_tokens;
  result.tokens.reserve(static_cast<size_t>(count * window_tokens));
  std::mt19937_64 engine(seed);
  const uint64_t starts = static_cast<uint64_t>(total - window_tokens) + 1;
  for (int64_t i = 0; i < count; ++i) {
    const uint64_t start = UniformBelow(engine, starts);
    const auto window =
        text_tokens.subspan(start, static_cast<size_t>(window_tokens));
    result.tokens.insert(result.tokens.end(), window.begin(), window.end());
  }
  return result;
}

std::string CalibrationDigest(const CalibrationWindows& windows) {
  Sha256 digest;
  digest.Update(absl::StrCat(windows.window_tokens, "\n"));
  digest.Update({reinterpret_cast<const char*>(windows.tokens.data()),
                 windows.tokens.size() * sizeof(int32_t)});
  return digest.FinishHex();
}

CalibrationWindows RolledCopies(const CalibrationWindows& windows,
                                int64_t copies) {
  if (copies == 1) return windows;
  CalibrationWindows result;
  result.window_tokens = windows.window_tokens;
  result.tokens.reserve(windows.tokens.size() * static_cast<size_t>(copies));
  const int64_t shift = windows.window_tokens / copies;
  for (int64_t w = 0; w < windows.count(); ++w) {
    const auto begin = windows.tokens.begin() + w * windows.window_tokens;
    const auto end = begin + windows.window_tokens;
    for (int64_t i = 0; i < copies; ++i) {
      // The last tokens come to the front.
      const auto first = end - i * shift;
      result.tokens.insert(result.tokens.end(), first, end);
      result.tokens.insert(result.tokens.end(), begin, first);
    }
  }
  return result;
}

}  // namespace quantd
