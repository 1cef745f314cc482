// Conversion between float32 and the 16-bit storage formats. `src` need not
// be aligned.
//
// F16: IEEE 754 binary16, subnormals kept. BF16: the upper half of binary32.
// Narrowing rounds to nearest, ties to even; overflow becomes infinity; NaN
// stays NaN.
#ifndef QUANTD_KERNELS_FLOAT_FORMATS_H_
#define QUANTD_KERNELS_FLOAT_FORMATS_H_

#include <cstddef>
#include <cstdint>

namespace quantd {

float F16ToF32(uint16_t bits);
uint16_t F32ToF16(float value);
// The nearest finite F16 value: what lies beyond the range goes to its ends.
float NearestF16(double value);
float BF16ToF32(uint16_t bits);
uint16_t F32ToBF16(float value);

// `count` elements from little-endian bytes.
void ConvertF16ToF32(const void* src, float* dst, size_t count);
void ConvertBF16ToF32(const void* src, float* dst, size_t count);

}  // namespace quantd

#endif  // QUANTD_KERNELS_FLOAT_FORMATS_H_
