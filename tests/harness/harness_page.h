// docs/evaluation.md out of what quantctl printed.
//
// Thread-safe.
#ifndef QUANTD_TESTS_HARNESS_HARNESS_PAGE_H_
#define QUANTD_TESTS_HARNESS_HARNESS_PAGE_H_

#include <string>
#include <vector>

#include "nlohmann/json.hpp"

namespace quantd::test {

// One model of the comparison. JSON as `quantctl evaluate` and `quantctl
// compare` print it.
struct HarnessModel {
  std::string name;   // "original", "8 bits"
  std::string about;  // how it was made, in words
  nlohmann::json evaluation;
  nlohmann::json comparison;  // with the original; null for the original
};

struct HarnessContext {
  std::string version;
  std::string machine;
  std::string model;
  std::string text;
};

// Markdown. The first model is the original.
std::string HarnessPage(const HarnessContext& context,
                        const std::vector<HarnessModel>& models);

}  // namespace quantd::test

#endif  // QUANTD_TESTS_HARNESS_HARNESS_PAGE_H_
