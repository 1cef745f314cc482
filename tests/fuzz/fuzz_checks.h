// What fuzz targets assert: a broken promise ends the process, which is what a
// fuzzer and the replay test both notice.
#ifndef QUANTD_TESTS_FUZZ_FUZZ_CHECKS_H_
#define QUANTD_TESTS_FUZZ_FUZZ_CHECKS_H_

#include <cstdio>
#include <cstdlib>

#include "absl/status/status.h"
#include "base/utf8.h"

namespace quantd::test {

inline void FuzzCheck(bool holds, const char* promise) {
  if (holds) return;
  std::fprintf(stderr, "fuzz check failed: %s\n", promise);
  std::abort();
}

// Errors go into RPC answers and JSON logs: the message is text, and the code
// does not blame quantd or the machine for a broken file.
inline void CheckRefusal(const absl::Status& status) {
  FuzzCheck(!status.message().empty(), "a refusal has a message");
  FuzzCheck(IsValidUtf8(status.message()), "a message is UTF-8");
  FuzzCheck(status.code() == absl::StatusCode::kInvalidArgument ||
                status.code() == absl::StatusCode::kUnimplemented ||
                status.code() == absl::StatusCode::kResourceExhausted,
            "a refusal has a code for bad input");
}

}  // namespace quantd::test

#endif  // QUANTD_TESTS_FUZZ_FUZZ_CHECKS_H_
