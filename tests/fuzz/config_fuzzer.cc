// The input is a config.json.
#include <cstddef>
#include <cstdint>

#include "models/json_text.h"
#include "models/model_description.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/fuzz_checks.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using quantd::test::FuzzCheck;
  const auto config = quantd::ParseJson(
      {reinterpret_cast<const char*>(data), size}, "config.json");
  if (!config.ok()) {
    quantd::test::CheckRefusal(config.status());
    return 0;
  }
  const auto description = quantd::ParseModelConfig(*config, "config.json");
  if (!description.ok()) {
    quantd::test::CheckRefusal(description.status());
    return 0;
  }
  FuzzCheck(description->blocks > 0 && description->hidden_size > 0 &&
                description->intermediate_size > 0 && description->heads > 0 &&
                description->kv_heads > 0 && description->head_dim > 0 &&
                description->vocabulary_size > 0,
            "sizes are positive");
  FuzzCheck(description->heads % description->kv_heads == 0,
            "key-value heads divide heads");
  return 0;
}
