// The input is a config.json.
#include <cstddef>
#include <cstdint>
#include <string>

#include "models/json_text.h"
#include "models/model_description.h"
#include "models/network/block_plan.h"
#include "nlohmann/json.hpp"
#include "tensor/tensor.h"
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
  // Every tensor of an accepted network has a name and positive extents.
  auto check = [](const std::string& name, const quantd::Shape& shape) {
    FuzzCheck(!name.empty(), "tensors have names");
    for (int64_t extent : shape) FuzzCheck(extent > 0, "extents are positive");
  };
  for (const auto& tensor : quantd::PlanOuterTensors(*description)) {
    check(tensor.name, tensor.shape);
  }
  const quantd::BlockPlan plan = quantd::PlanBlock(*description, 0);
  for (const auto& tensor : plan.tensors) check(tensor.name, tensor.shape);
  for (const auto& linear : plan.linears) {
    check(linear.name, {linear.rows, linear.cols});
  }
  return 0;
}
