// A finite set of values, one per code, and the code that a number is mapped
// to: that of the nearest value, or by thresholds of one's own.
//
//   const ValueSet set(FloatFormatValues({3, 2}));
//   set.value(set.Encode(7.6)) == 8.0f
//
// Halfway between two values the even code wins, which is round half to even
// for integers and for floating point. Of equal values (0 and -0) the lowest
// code is used. NaN is mapped to the least value.
//
// Immutable and thread-safe.
#ifndef QUANTD_QUANTIZERS_VALUE_SET_H_
#define QUANTD_QUANTIZERS_VALUE_SET_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace quantd {

class ValueSet {
 public:
  // `values[code]`, at least one and at most 256, finite, in any order.
  explicit ValueSet(std::vector<float> values);

  // With `thresholds[i]` between the i-th and the next of the ascending values.
  // REQUIRES: `values` is strictly ascending, thresholds too.
  ValueSet(std::vector<float> values, const std::vector<double>& thresholds);

  int Encode(double x) const;
  float value(int code) const { return values_[static_cast<size_t>(code)]; }
  const std::vector<float>& values() const { return values_; }

 private:
  // Fills `codes_` and `above_`. `order` has the codes by ascending value.
  void SetThresholds(const std::vector<uint8_t>& order,
                     const std::vector<double>& thresholds);

  std::vector<float> values_;
  // By ascending value, without duplicates: the codes, and what a number has to
  // be above to get the next one.
  std::vector<uint8_t> codes_;
  std::vector<double> above_;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_VALUE_SET_H_
