// GoogleTest matchers for grpc::Status, and what its binary details carry.
#ifndef QUANTD_TESTS_TESTING_GRPC_MATCHERS_H_
#define QUANTD_TESTS_TESTING_GRPC_MATCHERS_H_

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "grpcpp/support/status.h"

namespace quantd::test {

MATCHER(IsGrpcOk, "is OK") {
  *result_listener << arg.error_code() << ": " << arg.error_message();
  return arg.ok();
}

MATCHER_P2(GrpcStatusIs, code, message_matcher, "") {
  *result_listener << arg.error_code() << ": " << arg.error_message();
  return arg.error_code() == code &&
         ::testing::ExplainMatchResult(message_matcher, arg.error_message(),
                                       result_listener);
}

// The first detail of that type, or an empty message.
template <typename Detail>
Detail DetailOf(const grpc::Status& status) {
  google::rpc::Status details;
  Detail detail;
  if (!details.ParseFromString(status.error_details())) return detail;
  for (const google::protobuf::Any& any : details.details()) {
    if (any.UnpackTo(&detail)) return detail;
  }
  return Detail();
}

inline std::vector<std::string> ViolatedFields(const grpc::Status& status) {
  const auto bad_request = DetailOf<google::rpc::BadRequest>(status);
  std::vector<std::string> fields;
  for (const auto& violation : bad_request.field_violations()) {
    fields.push_back(violation.field());
  }
  return fields;
}

}  // namespace quantd::test

#endif  // QUANTD_TESTS_TESTING_GRPC_MATCHERS_H_
