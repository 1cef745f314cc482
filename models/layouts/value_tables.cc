#include "models/layouts/value_tables.h"

#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace quantd {
namespace {

// Written out, not computed: what an artifact decodes to must not depend on a
// mathematical library.
constexpr float kNormalFloat4[] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};
constexpr float kNormalFloat3[] = {
    -1.0f,
    -0.5350227355957031f,
    -0.24693143367767334f,
    0.0f,
    0.1833374798297882f,
    0.38199394941329956f,
    0.6229857206344604f,
    1.0f,
};
constexpr float kNormalFloat2[] = {
    -1.0f,
    0.0f,
    0.4358181655406952f,
    1.0f,
};

struct NamedTable {
  absl::string_view name;
  absl::Span<const float> values;
};

constexpr NamedTable kNormalFloats[] = {
    {"nf2", kNormalFloat2}, {"nf3", kNormalFloat3}, {"nf4", kNormalFloat4}};

}  // namespace

std::string FloatFormatName(const FloatFormat& format) {
  return absl::StrCat("e", format.exponent_bits, "m", format.mantissa_bits);
}

std::vector<float> FloatFormatValues(const FloatFormat& format) {
  const int x = format.exponent_bits;
  const int y = format.mantissa_bits;
  const int bias = x <= 3 ? (1 << (x - 1)) - 1 : (1 << x) - 5;
  const int magnitudes = 1 << (x + y);
  std::vector<float> values(static_cast<size_t>(2 * magnitudes));
  for (int code = 0; code < magnitudes; ++code) {
    const int exponent = code >> y;
    const int mantissa = code & ((1 << y) - 1);
    const float value =
        exponent == 0 ? std::ldexp(static_cast<float>(mantissa), 1 - bias - y)
                      : std::ldexp(static_cast<float>((1 << y) + mantissa),
                                   exponent - bias - y);
    values[static_cast<size_t>(code)] = value;
    values[static_cast<size_t>(magnitudes + code)] = -value;
  }
  return values;
}

std::vector<float> StandardValues(absl::string_view name) {
  for (const NamedTable& table : kNormalFloats) {
    if (table.name == name) {
      return {table.values.begin(), table.values.end()};
    }
  }
  if (name.size() == 4 && name[0] == 'e' && name[2] == 'm') {
    const FloatFormat format = {name[1] - '0', name[3] - '0'};
    if (format.valid()) return FloatFormatValues(format);
  }
  return {};
}

}  // namespace quantd
