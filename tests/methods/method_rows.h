// The rows of the comparison of methods and the claims that are held against
// it, as methods.txt lists them.
//
//   row ID | BITS | METHOD | SETTINGS...
//   gate NAME | QUANTITY | LEFT | FACTOR | RIGHT
//
// A row runs METHOD with "--set" SETTINGS (blank-separated) and is listed under
// about BITS. A gate claims that QUANTITY (kl, log_ratio, output_error,
// weight_error, unimproved_blocks) of row LEFT is at most FACTOR times that of
// row RIGHT, which may be a number; LEFT may be "best<=B": the least of all
// rows that store at most B bits per weight.
#ifndef QUANTD_TESTS_METHODS_METHOD_ROWS_H_
#define QUANTD_TESTS_METHODS_METHOD_ROWS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantd::test {

struct MethodRow {
  std::string id;
  double bits = 0;  // the class it is listed under
  std::string method;
  std::vector<std::string> settings;
};

struct MethodGate {
  std::string name;
  std::string quantity;
  std::string left;
  double factor = 1;
  std::string right;
};

struct MethodComparison {
  std::vector<MethodRow> rows;
  std::vector<MethodGate> gates;
};

// InvalidArgument names the line.
absl::StatusOr<MethodComparison> ParseMethodComparison(absl::string_view text);

}  // namespace quantd::test

#endif  // QUANTD_TESTS_METHODS_METHOD_ROWS_H_
