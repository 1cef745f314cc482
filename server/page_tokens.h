// Page tokens of list calls: where the next page starts, opaque, URL-safe and
// authenticated with a key of the store, so that a token can be neither made
// up nor used with another listing.
//
// Thread-safe.
#ifndef QUANTD_SERVER_PAGE_TOKENS_H_
#define QUANTD_SERVER_PAGE_TOKENS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/metadata_store.h"

namespace quantd {

class PageTokens {
 public:
  // Takes the key from the store, and makes it the first time.
  static absl::StatusOr<PageTokens> Load(MetadataStore* store);

  explicit PageTokens(std::string key) : key_(std::move(key)) {}

  // `scope` names the listing and every argument that must not change between
  // its pages; `last_key` is the last key of the page before.
  std::string Encode(absl::string_view scope, absl::string_view last_key) const;

  // The last key; empty for an empty token (the first page). InvalidArgument
  // when the token was not made by Encode() with this key and scope.
  absl::StatusOr<std::string> Decode(absl::string_view scope,
                                     absl::string_view token) const;

 private:
  std::string Mac(absl::string_view scope, absl::string_view last_key) const;

  std::string key_;
};

}  // namespace quantd

#endif  // QUANTD_SERVER_PAGE_TOKENS_H_
