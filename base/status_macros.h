// Propagation of absl::Status. This Abseil has no macros of its own for it.
//
//   RETURN_IF_ERROR(store->Put(key, value));
//   ASSIGN_OR_RETURN(Tensor weight, checkpoint.Load(name));
//
// To add one fact on the way up (layer, file, job id), keeping the code:
//
//   RETURN_IF_ERROR(Annotate(stage.Process(block), "layer ", name));
#ifndef QUANTD_BASE_STATUS_MACROS_H_
#define QUANTD_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace quantd {

// Prefixes the message of a failed status with "<parts>: "; payloads and code
// are kept. An OK status passes unchanged.
template <typename... Parts>
absl::Status Annotate(absl::Status status, const Parts&... parts) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(),
                         absl::StrCat(parts..., ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    annotated.SetPayload(url, payload);
  });
  return annotated;
}

template <typename T, typename... Parts>
absl::StatusOr<T> Annotate(absl::StatusOr<T> value, const Parts&... parts) {
  if (value.ok()) return value;
  return Annotate(std::move(value).status(), parts...);
}

}  // namespace quantd

#define RETURN_IF_ERROR(expr)                        \
  do {                                               \
    if (::absl::Status status_macro_result = (expr); \
        !status_macro_result.ok()) {                 \
      return status_macro_result;                    \
    }                                                \
  } while (false)

#define QUANTD_MACRO_CONCAT_INNER(a, b) a##b
#define QUANTD_MACRO_CONCAT(a, b) QUANTD_MACRO_CONCAT_INNER(a, b)
#define QUANTD_ASSIGN_OR_RETURN(result, lhs, expr)     \
  auto result = (expr);                                \
  if (!result.ok()) return std::move(result).status(); \
  lhs = *std::move(result)
#define ASSIGN_OR_RETURN(lhs, expr)                                           \
  QUANTD_ASSIGN_OR_RETURN(QUANTD_MACRO_CONCAT(status_macro_value_, __LINE__), \
                          lhs, expr)

#endif  // QUANTD_BASE_STATUS_MACROS_H_
