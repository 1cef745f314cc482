#include "server/status_conversion.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/utf8.h"
#include "google/rpc/error_details.pb.h"
#include "proto/field_rules.h"

namespace quantd {
namespace {

constexpr char kDomain[] = "quantd";
constexpr char kEllipsis[] = "...";

// Fit for proto3 strings, which must be UTF-8: one that is not makes clients
// refuse all details.
std::string Cut(absl::string_view text, size_t max_bytes) {
  const std::string valid = EscapeInvalidUtf8(text);
  if (valid.size() <= max_bytes) return valid;
  return absl::StrCat(CutUtf8(valid, max_bytes - (sizeof(kEllipsis) - 1)),
                      kEllipsis);
}

std::string ReasonOf(const absl::Status& status) {
  constexpr size_t kMinLength = 3;
  constexpr size_t kMaxLength = 63;  // of AIP-193
  const absl::string_view message = status.message();
  size_t length = 0;
  while (length < message.size() &&
         (absl::ascii_isupper(static_cast<unsigned char>(message[length])) ||
          absl::ascii_isdigit(static_cast<unsigned char>(message[length])) ||
          message[length] == '_')) {
    ++length;
  }
  if (length >= kMinLength && length <= kMaxLength && length < message.size() &&
      message[length] == ':' &&
      absl::ascii_isupper(static_cast<unsigned char>(message[0])) &&
      message.substr(0, length).find('_') != absl::string_view::npos) {
    return std::string(message.substr(0, length));
  }
  return absl::StatusCodeToString(status.code());
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(Cut(status.message(), kMaxStatusMessageBytes));
  google::rpc::ErrorInfo info;
  info.set_reason(ReasonOf(status));
  info.set_domain(kDomain);
  details.add_details()->PackFrom(info);

  google::rpc::BadRequest bad_request;
  size_t bytes = details.ByteSizeLong();
  for (const FieldViolation& violation : ViolationsOf(status)) {
    google::rpc::BadRequest::FieldViolation next;
    next.set_field(Cut(violation.field, kMaxStatusMessageBytes));
    next.set_description(Cut(violation.description, kMaxStatusMessageBytes));
    constexpr size_t kFramingBytes = 8;
    bytes += next.ByteSizeLong() + kFramingBytes;
    if (bytes > kMaxStatusDetailsBytes) break;
    *bad_request.add_field_violations() = std::move(next);
  }
  if (bad_request.field_violations_size() > 0) {
    details.add_details()->PackFrom(bad_request);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      details.message(), details.SerializeAsString());
}

}  // namespace quantd
