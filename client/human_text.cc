#include "client/human_text.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace quantd {
namespace {

// One decimal and the largest unit that leaves at least 1 before the point.
std::string Scaled(double value, double step, const char* const* units,
                   int last) {
  int unit = 0;
  // 1023.95 would be written as 1024.0, so it already takes the next unit.
  while (unit < last && value >= step - 0.05) {
    value /= step;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", value, units[unit]);
}

}  // namespace

std::string HumanBytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B",   "KiB", "MiB", "GiB",
                                           "TiB", "PiB", "EiB"};
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  return Scaled(static_cast<double>(bytes), 1024, kUnits, 6);
}

std::string HumanCount(uint64_t count) {
  static constexpr const char* kUnits[] = {"", "k", "M", "B", "T"};
  if (count < 1000) return absl::StrCat(count);
  return Scaled(static_cast<double>(count), 1000, kUnits, 4);
}

std::string HumanSeconds(double seconds) {
  if (!(seconds >= 0)) return "-";
  if (seconds < 9.95) return absl::StrFormat("%.1f s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return absl::StrCat(whole, " s");
  if (whole < 3600) {
    return absl::StrFormat("%d m %02d s", whole / 60, whole % 60);
  }
  return absl::StrFormat("%d h %02d m", whole / 3600, whole / 60 % 60);
}

std::string HumanTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S",
                          absl::FromUnixSeconds(time.seconds()),
                          absl::LocalTimeZone());
}

std::string HumanNumber(double value) {
  // Four decimals tell two methods apart; beyond 1e6 they tell nothing.
  return absl::StrFormat(std::fabs(value) < 1e6 ? "%.4f" : "%.4e", value);
}

std::string HumanNumber(double value, double error) {
  return absl::StrCat(HumanNumber(value), " +/- ", HumanNumber(error));
}

std::string HumanBits(double bits_per_weight) {
  return bits_per_weight > 0 ? absl::StrFormat("%.2f", bits_per_weight) : "-";
}

}  // namespace quantd
