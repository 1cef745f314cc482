#include "server/status_conversion.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "proto/field_rules.h"
#include "quantd/v1/model.pb.h"
#include "tests/testing/grpc_matchers.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

google::rpc::ErrorInfo InfoOf(const absl::Status& status) {
  return DetailOf<google::rpc::ErrorInfo>(ToGrpcStatus(status));
}

TEST(StatusConversionTest, OkIsOkWithoutDetails) {
  const grpc::Status status = ToGrpcStatus(absl::OkStatus());
  EXPECT_TRUE(status.ok());
  EXPECT_THAT(status.error_details(), IsEmpty());
}

TEST(StatusConversionTest, EveryCodeKeepsItsNumberAndMessage) {
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status =
        ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(code), "why"));
    EXPECT_EQ(static_cast<int>(status.error_code()), code);
    EXPECT_EQ(status.error_message(), "why");
    google::rpc::Status details;
    ASSERT_TRUE(details.ParseFromString(status.error_details()));
    EXPECT_EQ(details.code(), code);
    EXPECT_EQ(details.message(), "why");
  }
}

TEST(StatusConversionTest, TheReasonIsTheCodeUnlessTheMessageNamesOne) {
  EXPECT_EQ(InfoOf(absl::NotFoundError("no such job")).reason(), "NOT_FOUND");
  EXPECT_EQ(InfoOf(absl::NotFoundError("no such job")).domain(), "quantd");
  EXPECT_EQ(
      InfoOf(absl::InvalidArgumentError("REQUEST_ID_REUSED: by")).reason(),
      "REQUEST_ID_REUSED");
  // A word in capitals is not a reason by itself.
  EXPECT_EQ(InfoOf(absl::InternalError("GPTQ: no")).reason(), "INTERNAL");
  EXPECT_EQ(InfoOf(absl::InternalError("STALE_ATTEMPT")).reason(), "INTERNAL");
  EXPECT_EQ(InfoOf(absl::InternalError("")).reason(), "INTERNAL");
}

TEST(StatusConversionTest, AllViolationsTravelAlsoThroughAnnotations) {
  v1::CreateModelRequest request;
  request.set_model_id("-bad-");
  const absl::Status broken = Annotate(Validate(request), "while testing");
  const grpc::Status status = ToGrpcStatus(broken);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(ViolatedFields(status), UnorderedElementsAre("model_id", "path"));
  EXPECT_THAT(ViolatedFields(ToGrpcStatus(InvalidField("a.b", "is bad"))),
              ElementsAre("a.b"));
}

TEST(StatusConversionTest, WhatClientsCannotReceiveIsCut) {
  const grpc::Status status =
      ToGrpcStatus(absl::InternalError(std::string(100000, 'x')));
  EXPECT_LE(status.error_message().size(), kMaxStatusMessageBytes);
  EXPECT_THAT(status.error_message(), EndsWith("x..."));
  EXPECT_LE(status.error_details().size(), kMaxStatusDetailsBytes);
}

TEST(StatusConversionTest, ACutMessageIsStillUtf8) {
  for (size_t shift = 0; shift < 3; ++shift) {
    std::string text(shift, 'x');
    while (text.size() < 2 * kMaxStatusMessageBytes) text += "\u20ac";
    const grpc::Status status = ToGrpcStatus(absl::InternalError(text));
    google::rpc::Status details;
    EXPECT_TRUE(details.ParseFromString(status.error_details()));
    const std::string body = status.error_message().substr(
        shift, status.error_message().size() - shift - 3);
    EXPECT_EQ(body.size() % 3, 0u);
  }
}

TEST(StatusConversionTest, BytesThatAreNoTextAreEscaped) {
  const grpc::Status status =
      ToGrpcStatus(absl::NotFoundError("no file a\xFF.txt"));
  EXPECT_EQ(status.error_message(), "no file a\\xff.txt");
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  EXPECT_EQ(details.message(), "no file a\\xff.txt");
  // Escapes count: the answer stays receivable.
  EXPECT_LE(ToGrpcStatus(absl::InternalError(std::string(5000, '\xFF')))
                .error_message()
                .size(),
            kMaxStatusMessageBytes);
}

TEST(StatusConversionTest, AVeryLongListOfViolationsIsCutToo) {
  std::string fields;
  v1::CreateModelRequest request;
  request.set_path(std::string(5000, 'p'));
  request.set_request_id(std::string(5000, 'r'));
  const grpc::Status status = ToGrpcStatus(Validate(request));
  EXPECT_LE(status.error_details().size(), kMaxStatusDetailsBytes + 64);
  EXPECT_FALSE(ViolatedFields(status).empty());
}

}  // namespace
}  // namespace quantd::test
