// The finishing steps of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): every
// bit of the argument changes half of the result's. A bijection; 0 stays 0.
#ifndef QUANTD_BASE_BIT_MIXER_H_
#define QUANTD_BASE_BIT_MIXER_H_

#include <cstdint>

namespace quantd {

// 2^64 over the golden ratio, odd: the distance of SplitMix64's states.
inline constexpr uint64_t kGoldenGamma = 0x9E3779B97F4A7C15;

constexpr uint64_t MixBits(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace quantd

#endif  // QUANTD_BASE_BIT_MIXER_H_
