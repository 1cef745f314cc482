// docs/methods.md out of what was measured.
#ifndef QUANTD_TESTS_METHODS_METHOD_TABLE_H_
#define QUANTD_TESTS_METHODS_METHOD_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/methods/method_gates.h"
#include "tests/methods/method_rows.h"

namespace quantd::test {

// How the numbers were made.
struct MethodContext {
  std::string version;
  std::string model;
  std::string metric;
  double original_perplexity = 0;
  double original_error = 0;
  uint64_t windows = 0;
  uint64_t scored_tokens = 0;
  std::string calibration;  // text and windows, in words
  std::string machine;
};

// Markdown; rows of one class are sorted by their stored bits.
std::string MethodPage(const MethodContext& context,
                       const MethodComparison& comparison,
                       const MethodResults& results,
                       const std::vector<GateVerdict>& gates);

}  // namespace quantd::test

#endif  // QUANTD_TESTS_METHODS_METHOD_TABLE_H_
