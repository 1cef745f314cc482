#include "base/status_macros.h"

#include <memory>
#include <string>

#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

absl::Status ReturnIfError(const absl::Status& status, bool* went_on) {
  RETURN_IF_ERROR(status);
  *went_on = true;
  return absl::OkStatus();
}

TEST(StatusMacrosTest, ReturnIfErrorPassesTheErrorUp) {
  bool went_on = false;
  EXPECT_THAT(ReturnIfError(absl::DataLossError("bits"), &went_on),
              StatusIs(absl::StatusCode::kDataLoss, "bits"));
  EXPECT_FALSE(went_on);
  EXPECT_THAT(ReturnIfError(absl::OkStatus(), &went_on), IsOk());
  EXPECT_TRUE(went_on);
}

absl::StatusOr<int> Sum(absl::StatusOr<int> a, absl::StatusOr<int> b) {
  ASSIGN_OR_RETURN(const int x, a);
  int y = 0;
  ASSIGN_OR_RETURN(y, b);
  return x + y;
}

TEST(StatusMacrosTest, AssignOrReturnUnwrapsOrReturns) {
  EXPECT_EQ(*Sum(1, 2), 3);
  EXPECT_THAT(Sum(1, absl::NotFoundError("b")),
              StatusIs(absl::StatusCode::kNotFound, "b"));
  EXPECT_THAT(Sum(absl::AbortedError("a"), absl::NotFoundError("b")),
              StatusIs(absl::StatusCode::kAborted, "a"));
}

absl::StatusOr<std::unique_ptr<int>> MoveOnly() {
  ASSIGN_OR_RETURN(
      std::unique_ptr<int> value,
      absl::StatusOr<std::unique_ptr<int>>(std::make_unique<int>(5)));
  return value;
}

TEST(StatusMacrosTest, AssignOrReturnMovesOutOfTemporaries) {
  ASSERT_OK_AND_ASSIGN(const std::unique_ptr<int> value, MoveOnly());
  EXPECT_EQ(*value, 5);
}

TEST(AnnotateTest, PrefixesTheMessageAndKeepsCodeAndPayload) {
  absl::Status status = absl::ResourceExhaustedError("disk full");
  status.SetPayload("url", absl::Cord("payload"));
  const absl::Status annotated = Annotate(status, "layer ", 3, ", file ", "x");
  EXPECT_THAT(annotated, StatusIs(absl::StatusCode::kResourceExhausted,
                                  "layer 3, file x: disk full"));
  ASSERT_TRUE(annotated.GetPayload("url").has_value());
  EXPECT_EQ(*annotated.GetPayload("url"), "payload");
}

TEST(AnnotateTest, LeavesSuccessAlone) {
  EXPECT_THAT(Annotate(absl::OkStatus(), "context"), IsOk());
  EXPECT_EQ(*Annotate(absl::StatusOr<int>(4), "context"), 4);
  EXPECT_THAT(Annotate(absl::StatusOr<int>(absl::InternalError("e")), "c"),
              StatusIs(absl::StatusCode::kInternal, "c: e"));
}

}  // namespace
}  // namespace quantd::test
