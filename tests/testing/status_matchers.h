// GoogleTest matchers for absl::Status and absl::StatusOr (this Abseil ships
// none).
//
//   EXPECT_THAT(store->Commit(batch), IsOk());
//   ASSERT_OK_AND_ASSIGN(Tensor w, checkpoint->LoadFloat(name, shape));
//   EXPECT_THAT(Open(path), StatusIs(absl::StatusCode::kNotFound,
//                                    HasSubstr("config.json")));
#ifndef QUANTD_TESTS_TESTING_STATUS_MATCHERS_H_
#define QUANTD_TESTS_TESTING_STATUS_MATCHERS_H_

#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd::test {

inline const absl::Status& StatusOf(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& value) {
  return value.status();
}

MATCHER(IsOk, "is OK") {
  const absl::Status& status = StatusOf(arg);
  *result_listener << status.ToString();
  return status.ok();
}

MATCHER_P2(StatusIs, code, message_matcher, "") {
  const absl::Status& status = StatusOf(arg);
  *result_listener << status.ToString();
  return status.code() == code &&
         ::testing::ExplainMatchResult(message_matcher,
                                       std::string(status.message()),
                                       result_listener);
}

}  // namespace quantd::test

#define ASSERT_OK_AND_ASSIGN_IMPL(result, lhs, expr)          \
  auto result = (expr);                                       \
  ASSERT_TRUE(result.ok()) << #expr << ": " << result.status(); \
  lhs = *std::move(result)
#define ASSERT_OK_AND_ASSIGN(lhs, expr) \
  ASSERT_OK_AND_ASSIGN_IMPL(            \
      QUANTD_MACRO_CONCAT(test_value_, __LINE__), lhs, expr)

#endif  // QUANTD_TESTS_TESTING_STATUS_MATCHERS_H_
