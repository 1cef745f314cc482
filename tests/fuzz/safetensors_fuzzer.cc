// The input is a whole safetensors file.
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "models/safetensors.h"
#include "tests/fuzz/fuzz_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using quantd::test::FuzzCheck;
  const absl::string_view image(reinterpret_cast<const char*>(data), size);
  std::map<std::string, std::string> metadata;
  const auto tensors = quantd::ParseSafetensors(image, "input", &metadata);
  if (!tensors.ok()) {
    quantd::test::CheckRefusal(tensors.status());
    return 0;
  }
  size_t covered = 0;
  for (const auto& [name, tensor] : *tensors) {
    FuzzCheck(tensor.bytes.data() >= image.data() + 8 &&
                  tensor.bytes.data() + tensor.bytes.size() <=
                      image.data() + image.size(),
              "a tensor lies in the file");
    FuzzCheck(static_cast<size_t>(quantd::ElementCount(tensor.shape)) *
                      quantd::DTypeSize(tensor.dtype) ==
                  tensor.bytes.size(),
              "a tensor has the bytes its shape takes");
    covered += tensor.bytes.size();
  }
  FuzzCheck(covered <= size, "tensors do not overlap");
  return 0;
}
