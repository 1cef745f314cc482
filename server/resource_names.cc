#include "server/resource_names.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/field_rules.h"

namespace quantd {
namespace {

bool IsAlphanumeric(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c));
}

}  // namespace

bool IsResourceId(absl::string_view text) {
  constexpr size_t kMaxBytes = 128;
  if (text.empty() || text.size() > kMaxBytes) return false;
  if (!IsAlphanumeric(text.front()) || !IsAlphanumeric(text.back())) {
    return false;
  }
  for (const char c : text) {
    if (!IsAlphanumeric(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

absl::StatusOr<std::string> ResourceId(absl::string_view collection,
                                       absl::string_view name,
                                       absl::string_view field) {
  absl::string_view id = name;
  absl::ConsumePrefix(&id, absl::StrCat(collection, "/"));
  if (!IsResourceId(id)) {
    return InvalidField(field,
                        absl::StrCat("must be ", collection,
                                     "/{id} or {id}, where the id has letters, "
                                     "digits and inner ._-, at most 128"));
  }
  return std::string(id);
}

}  // namespace quantd
