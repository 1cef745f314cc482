// How the services of FakeQuantd answer: errors as a server sends them, lookups
// by name, and pages.
#ifndef QUANTD_TESTS_CLIENT_FAKE_ANSWERS_H_
#define QUANTD_TESTS_CLIENT_FAKE_ANSWERS_H_

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "grpcpp/grpcpp.h"
#include "proto/field_rules.h"

namespace quantd::test {

inline grpc::Status NotFound(const std::string& name) {
  return grpc::Status(grpc::StatusCode::NOT_FOUND,
                      absl::StrCat(name, " does not exist"));
}

// As a server sends it: code, message, and field violations in the trailer.
inline grpc::Status Rich(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::BadRequest bad_request;
  for (const FieldViolation& violation : ViolationsOf(status)) {
    auto* entry = bad_request.add_field_violations();
    entry->set_field(violation.field);
    entry->set_description(violation.description);
  }
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.add_details()->PackFrom(bad_request);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      std::string(status.message()),
                      details.SerializeAsString());
}

template <typename T>
grpc::Status Find(const std::map<std::string, T>& items,
                  const std::string& name, T* found) {
  const auto it = items.find(name);
  if (it == items.end()) return NotFound(name);
  *found = it->second;
  return grpc::Status::OK;
}

// Pages of two, so that every list of three takes two calls.
template <typename Items, typename Add>
void Page(const Items& items, const std::string& token, Add add,
          std::string* next) {
  constexpr size_t kPage = 2;
  const size_t begin = token.empty() ? 0 : std::stoul(token);
  for (size_t i = begin; i < std::min(items.size(), begin + kPage); ++i) {
    add(items[i]);
  }
  if (begin + kPage < items.size()) *next = absl::StrCat(begin + kPage);
}

template <typename T>
std::vector<T> Values(const std::map<std::string, T>& items) {
  std::vector<T> values;
  for (const auto& [name, item] : items) values.push_back(item);
  return values;
}

}  // namespace quantd::test

#endif  // QUANTD_TESTS_CLIENT_FAKE_ANSWERS_H_
