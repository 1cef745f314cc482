// Rows of the tables of broken files. Every parser is held to the same
// promise: the file is refused, with the expected code and a message that
// names the fault; nothing crashes.
#ifndef QUANTD_TESTS_MODELS_MALFORMED_INPUT_H_
#define QUANTD_TESTS_MODELS_MALFORMED_INPUT_H_

#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"

namespace quantd::test {

struct MalformedInput {
  std::string name;  // CamelCase: becomes the name of the test
  std::string bytes;
  std::string fault;  // the message contains it
  absl::StatusCode code = absl::StatusCode::kInvalidArgument;
};

inline void PrintTo(const MalformedInput& input, std::ostream* out) {
  *out << input.name;
}

inline std::string MalformedInputName(
    const ::testing::TestParamInfo<MalformedInput>& info) {
  return info.param.name;
}

}  // namespace quantd::test

#endif  // QUANTD_TESTS_MODELS_MALFORMED_INPUT_H_
