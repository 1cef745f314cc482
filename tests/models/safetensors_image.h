// Safetensors files put together by hand, right or wrong.
#ifndef QUANTD_TESTS_MODELS_SAFETENSORS_IMAGE_H_
#define QUANTD_TESTS_MODELS_SAFETENSORS_IMAGE_H_

#include <cstdint>
#include <cstring>
#include <string>

namespace quantd::test {

// The first eight bytes say `length`, whatever follows.
inline std::string ImageWithLength(uint64_t length, const std::string& rest) {
  std::string image(8, '\0');
  std::memcpy(image.data(), &length, 8);
  return image + rest;
}

inline std::string Image(const std::string& header, const std::string& data) {
  return ImageWithLength(header.size(), header + data);
}

// An image of one tensor "t" of 8 data bytes; the arguments are JSON texts.
inline std::string OneTensor(const std::string& dtype, const std::string& shape,
                             const std::string& offsets) {
  return Image("{\"t\":{\"dtype\":" + dtype + ",\"shape\":" + shape +
                   ",\"data_offsets\":" + offsets + "}}",
               "12345678");
}

}  // namespace quantd::test

#endif  // QUANTD_TESTS_MODELS_SAFETENSORS_IMAGE_H_
