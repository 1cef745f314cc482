// Standard sets of values that codes of a few bits stand for. A layout that
// uses one stores its name instead of the values.
//
// NormalFloat "nf4", "nf3", "nf2": quantiles of the normal distribution, scaled
// to [-1, 1], zero included; codes ascend with the values. Dettmers et al.,
// QLoRA, arXiv:2305.14314, appendix "NormalFloat 4-bit data type". With
//   p = 1 - (1 / (2 * 2^b) + 1 / (2 * (2^b - 1))) / 2
// the positive values are Q(linspace(p, 1/2, 2^(b-1) + 1)), the negative ones
// -Q(linspace(p, 1/2, 2^(b-1))), without the last of each (which is 0), all
// over Q(p). b = 4 is the published table; b = 3 and 2 follow its formula.
//
// Floating point "e<x>m<y>", x in 1..5, 1 + x + y <= 8: sign, x exponent bits,
// y mantissa bits, subnormals, neither infinity nor NaN (the greatest exponent
// is ordinary):
//   exponent 0: (-1)^s * mantissa * 2^(1 - bias - y)
//   otherwise:  (-1)^s * (2^y + mantissa) * 2^(exponent - bias - y)
// bias = 2^(x-1) - 1 for x <= 3, 2^x - 5 above: the greatest exponent is then
// at most 4, so that a scale over max|w| is a normal binary16 number. A table
// is only defined up to its scale, so that the bias decides nothing else. E2M1
// has 0, .5, 1, 1.5, 2, 3, 4, 6; E3M2 ends at 28, as in ZeroQuant(4+2), Wu et
// al., arXiv:2312.08583, and FP6-LLM, Xia et al., arXiv:2401.14112.
//
// Free functions, thread-safe.
#ifndef QUANTD_MODELS_LAYOUTS_VALUE_TABLES_H_
#define QUANTD_MODELS_LAYOUTS_VALUE_TABLES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace quantd {

struct FloatFormat {
  int exponent_bits = 2;
  int mantissa_bits = 1;

  int bits() const { return 1 + exponent_bits + mantissa_bits; }
  bool valid() const {
    return exponent_bits >= 1 && exponent_bits <= 5 && mantissa_bits >= 0 &&
           bits() <= 8;
  }
};

// "e2m1".
std::string FloatFormatName(const FloatFormat& format);

// The value of every code, 2^bits() of them. REQUIRES: format.valid().
std::vector<float> FloatFormatValues(const FloatFormat& format);

// The value of every code of the table `name`; empty when there is none.
std::vector<float> StandardValues(absl::string_view name);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_VALUE_TABLES_H_
