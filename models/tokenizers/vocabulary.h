// Tokens and their ids.
//
// Immutable and thread-safe once filled.
#ifndef QUANTD_MODELS_TOKENIZERS_VOCABULARY_H_
#define QUANTD_MODELS_TOKENIZERS_VOCABULARY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"

namespace quantd {

// Ids are below this in every tokenizer file; a larger one is a broken file.
inline constexpr int64_t kMaxTokenId = 10'000'000 - 1;

class Vocabulary {
 public:
  // From the member "vocab", an object from tokens to ids. InvalidArgument:
  // empty, an id out of range, an id that two tokens share.
  static absl::StatusOr<Vocabulary> FromJson(const JsonReader& model);

  void Reserve(size_t tokens);
  // A later token of the same content takes the content over; the id of the
  // earlier one stays valid. REQUIRES: `id` is new, 0 <= id <= kMaxTokenId.
  void Add(absl::string_view token, int32_t id);

  std::optional<int32_t> IdOf(absl::string_view token) const;
  std::optional<absl::string_view> TokenOf(int32_t id) const;
  // The id of a member of `reader` that names a token; nullopt when the member
  // is absent or null. InvalidArgument when there is no such token.
  absl::StatusOr<std::optional<int32_t>> ReadToken(const JsonReader& reader,
                                                   absl::string_view key) const;

  size_t size() const { return token_of_.size(); }
  int32_t max_id() const { return max_id_; }  // -1 when empty

 private:
  absl::flat_hash_map<std::string, int32_t> id_of_;
  absl::flat_hash_map<int32_t, std::string> token_of_;
  int32_t max_id_ = -1;
};

// Tokens that stand for single bytes: "<0x00>" to "<0xFF>".
class ByteTokens {
 public:
  // The name of the token for `byte`.
  static std::string NameOf(uint8_t byte);
  // The byte that a token names.
  static std::optional<uint8_t> ByteOf(absl::string_view token);

  explicit ByteTokens(const Vocabulary& vocabulary);

  // Appends one id for each byte of `text`, or nothing and returns false when
  // one of them has no token.
  template <typename Ids>
  bool Append(absl::string_view text, Ids* ids) const {
    for (const char c : text) {
      if (ids_[static_cast<uint8_t>(c)] < 0) return false;
    }
    for (const char c : text) ids->push_back(ids_[static_cast<uint8_t>(c)]);
    return true;
  }

  // Whether every byte that occurs in UTF-8 has a token.
  bool complete() const;

 private:
  std::array<int32_t, 256> ids_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_VOCABULARY_H_
