#include "server/page_tokens.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "proto/field_rules.h"

namespace quantd {
namespace {

constexpr char kKeyName[] = "page_token_key";
constexpr size_t kKeyBytes = 32;
constexpr size_t kMacBytes = 16;  // of HMAC-SHA256, cut

}  // namespace

absl::StatusOr<PageTokens> PageTokens::Load(MetadataStore* store) {
  absl::StatusOr<std::string> key = store->GetBytes(Table::kMeta, kKeyName);
  if (key.ok()) return PageTokens(*std::move(key));
  if (!absl::IsNotFound(key.status())) return key.status();
  std::string fresh(kKeyBytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(fresh.data()),
                 static_cast<int>(fresh.size())) != 1) {
    return absl::InternalError("no random bytes for the page token key");
  }
  MetadataBatch batch;
  batch.PutBytes(Table::kMeta, kKeyName, fresh);
  RETURN_IF_ERROR(store->Commit(batch));
  return PageTokens(std::move(fresh));
}

std::string PageTokens::Mac(absl::string_view scope,
                            absl::string_view last_key) const {
  // The length keeps ("a", "bc") and ("ab", "c") apart.
  const std::string text = absl::StrCat(scope.size(), ":", scope, last_key);
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac,
       &size);
  return std::string(reinterpret_cast<const char*>(mac), kMacBytes);
}

std::string PageTokens::Encode(absl::string_view scope,
                               absl::string_view last_key) const {
  return absl::WebSafeBase64Escape(
      absl::StrCat(Mac(scope, last_key), last_key));
}

absl::StatusOr<std::string> PageTokens::Decode(absl::string_view scope,
                                               absl::string_view token) const {
  if (token.empty()) return std::string();
  std::string bytes;
  if (absl::WebSafeBase64Unescape(token, &bytes) && bytes.size() > kMacBytes) {
    const std::string last_key = bytes.substr(kMacBytes);
    const std::string expected = Mac(scope, last_key);
    if (CRYPTO_memcmp(expected.data(), bytes.data(), kMacBytes) == 0) {
      return last_key;
    }
  }
  return InvalidField("page_token",
                      "not a token of this listing with these arguments");
}

}  // namespace quantd
