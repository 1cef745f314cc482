#include "base/byte_size.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace quantd {
namespace {

constexpr char kUnits[] = {'K', 'M', 'G', 'T'};

}  // namespace

absl::StatusOr<uint64_t> ParseByteSize(absl::string_view text) {
  absl::string_view number = absl::StripAsciiWhitespace(text);
  double scale = 1;
  const bool has_suffix = absl::ConsumeSuffix(&number, "iB");
  if (!number.empty()) {
    const char unit =
        absl::ascii_toupper(static_cast<unsigned char>(number.back()));
    double power = 1;
    for (const char known : kUnits) {
      power *= 1024;
      if (unit == known) scale = power;
    }
    if (scale > 1) number.remove_suffix(1);
  }
  double value = 0;
  // No exponents, no "inf".
  const bool plain =
      number.find_first_not_of("0123456789.") == absl::string_view::npos;
  if (!plain || (has_suffix && scale == 1) ||
      !absl::SimpleAtod(number, &value) || value * scale >= 0x1p63) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is not a size such as 1536M or 1.5GiB"));
  }
  return static_cast<uint64_t>(std::llround(value * scale));
}

std::string ByteSizeText(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < sizeof(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.2f %ciB", value, kUnits[unit]);
}

}  // namespace quantd
