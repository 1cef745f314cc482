// logits_check FOLDER: runs every checkpoint of a folder of fixtures
// (fixture_logits.h says what one holds) and compares its logits with the
// reference. One line a checkpoint: name, family, largest difference. Exit
// code 0 when all keep the bound, 1 when one does not or cannot be read, 2 on
// wrong usage.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "models/checkpoint.h"
#include "models/model_description.h"
#include "tests/models/fixture_logits.h"

namespace {

namespace fs = std::filesystem;

std::string FamilyOf(const std::string& directory) {
  const auto checkpoint = quantd::Checkpoint::Open(directory);
  if (!checkpoint.ok()) return "?";
  const auto description = quantd::DescribeModel(**checkpoint);
  return description.ok() ? description->architecture : "?";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: logits_check FOLDER\n");
    return 2;
  }
  std::error_code error;
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(argv[1], error)) {
    if (fs::exists(entry.path() / "reference.safetensors")) {
      names.push_back(entry.path().filename().string());
    }
  }
  if (error || names.empty()) {
    std::fprintf(stderr, "logits_check: no checkpoints in %s\n", argv[1]);
    return 2;
  }
  std::sort(names.begin(), names.end());
  const auto device = quantd::NewCpuDevice(0);
  int failures = 0;
  for (const std::string& name : names) {
    const std::string directory = std::string(argv[1]) + "/" + name;
    const auto difference =
        quantd::test::LargestLogitDifference(directory, *device);
    if (!difference.ok()) {
      std::printf("%-24s FAILED  %s\n", name.c_str(),
                  difference.status().ToString().c_str());
      ++failures;
      continue;
    }
    const bool good = *difference <= quantd::test::kLogitBound;
    std::printf("%-24s %-12s %.3g%s\n", name.c_str(),
                FamilyOf(directory).c_str(), *difference,
                good ? "" : "  FAILED: over 2e-4");
    if (!good) ++failures;
  }
  std::printf("%zu checkpoints, %d failed\n", names.size(), failures);
  return failures == 0 ? 0 : 1;
}
