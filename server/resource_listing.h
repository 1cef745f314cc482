// One page of a table whose values are messages of one type, in key order.
//
// Thread-safe: free functions over thread-safe arguments.
#ifndef QUANTD_SERVER_RESOURCE_LISTING_H_
#define QUANTD_SERVER_RESOURCE_LISTING_H_

#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status_macros.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "server/page_tokens.h"
#include "storage/metadata_store.h"

namespace quantd {

inline constexpr int kDefaultPageSize = 50;
inline constexpr int kMaxPageSize = 1000;
// Pages end early rather than grow past what a client accepts by default.
inline constexpr size_t kMaxPageBytes = size_t{2} << 20;

// What a list call asked for; `scope` as of PageTokens.
struct PageRequest {
  std::string scope;
  int32_t page_size = 0;
  std::string page_token;
};

// 0 = the default; larger ones are cut to the maximum.
inline size_t EffectivePageSize(int32_t requested) {
  if (requested <= 0) return kDefaultPageSize;
  return static_cast<size_t>(std::min(requested, kMaxPageSize));
}

// Appends the messages of `table` that `wanted` accepts to `items`, and sets
// `next_page_token` unless they were the last. DataLoss names a record that
// does not parse.
template <typename Message>
absl::Status ListPage(const MetadataStore& store, Table table,
                      const PageTokens& tokens, const PageRequest& page,
                      absl::FunctionRef<bool(const Message&)> wanted,
                      google::protobuf::RepeatedPtrField<Message>* items,
                      std::string* next_page_token) {
  ASSIGN_OR_RETURN(const std::string after,
                   tokens.Decode(page.scope, page.page_token));
  const size_t page_size = EffectivePageSize(page.page_size);
  size_t bytes = 0;
  std::string last_key;
  absl::Status broken;
  RETURN_IF_ERROR(store.Scan(
      table, "", after, [&](absl::string_view key, absl::string_view value) {
        Message message;
        if (!message.ParseFromArray(value.data(),
                                    static_cast<int>(value.size()))) {
          broken = absl::DataLossError(absl::StrCat("the record ", key,
                                                    " does not parse as ",
                                                    message.GetTypeName()));
          return false;
        }
        if (!wanted(message)) return true;
        const size_t count = static_cast<size_t>(items->size());
        if (count == page_size ||
            (count > 0 && bytes + value.size() > kMaxPageBytes)) {
          *next_page_token = tokens.Encode(page.scope, last_key);
          return false;
        }
        bytes += value.size();
        last_key = std::string(key);
        *items->Add() = std::move(message);
        return true;
      }));
  return broken;
}

}  // namespace quantd

#endif  // QUANTD_SERVER_RESOURCE_LISTING_H_
