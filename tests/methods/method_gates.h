// Claims about methods, held against what was measured.
#ifndef QUANTD_TESTS_METHODS_METHOD_GATES_H_
#define QUANTD_TESTS_METHODS_METHOD_GATES_H_

#include <map>
#include <string>
#include <vector>

#include "tests/methods/method_rows.h"

namespace quantd::test {

// What was measured of one row. Negative: not known.
struct MethodResult {
  bool calibrated = false;
  std::vector<std::string> stages;  // "gptq"
  std::vector<std::string> grids;   // "affine"
  double stored_bits = 0;
  double perplexity = 0;
  double perplexity_error = 0;  // clustered by window
  double kl = 0;                // of the original against it, nats
  double kl_error = 0;          // clustered by window
  double log_ratio = 0;         // ln(perplexity / that of the original)
  double top1_agreement = 0;
  double output_error = -1;  // mean over layers (LayerReport)
  double weight_error = -1;
  double unimproved_blocks = -1;  // that tuning left as they began
  double seconds = 0;
  double peak_bytes = 0;  // anonymous memory of the job
};

using MethodResults = std::map<std::string, MethodResult>;  // by row id

struct GateVerdict {
  std::string name;
  bool measured = true;  // both sides are known
  bool holds = false;
  std::string numbers;  // "0.0248 <= 1 x 0.0380"
};

// The gates of the comparison, and for every calibrated row that its KL is
// below that of "rtn" at equal stored bits. RTN between its rungs is the lower
// convex hull of its rows over bits and ln KL: KL falls about fourfold with
// every bit, and a rung above the hull is one that other groups beat.
std::vector<GateVerdict> JudgeGates(const MethodComparison& comparison,
                                    const MethodResults& results);

}  // namespace quantd::test

#endif  // QUANTD_TESTS_METHODS_METHOD_GATES_H_
