// Added tokens: strings such as "<|endoftext|>" that are found in a text
// before the model sees it and become one id each.
//
// AddedTokenMatcher is immutable and thread-safe.
#ifndef QUANTD_MODELS_TOKENIZERS_ADDED_TOKENS_H_
#define QUANTD_MODELS_TOKENIZERS_ADDED_TOKENS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"

namespace quantd {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;
  // White space to the left / right belongs to the match.
  bool lstrip = false;
  bool rstrip = false;
  // Matches only where no word character touches it.
  bool single_word = false;
  // Sought in the normalized text, not in the text as given.
  bool normalized = false;
};

// The member "added_tokens" of tokenizer.json. InvalidArgument names the
// entry: missing or empty content, an id out of range, an id or content that
// two entries share.
absl::StatusOr<std::vector<AddedToken>> ReadAddedTokens(const JsonReader& file);

// Cuts texts at added tokens: at each place the longest token wins, from left
// to right.
class AddedTokenMatcher {
 public:
  // `content` of each token is what is sought. Of two tokens with one content
  // the first counts. REQUIRES: contents are not empty.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  // Called with each part of the text in order: a part and no token, or a
  // token and the part it covers.
  using Sink =
      absl::FunctionRef<absl::Status(absl::string_view, const AddedToken*)>;

  // Stops at the first error of `sink`. REQUIRES: valid UTF-8.
  absl::Status Cut(absl::string_view text, Sink sink) const;

 private:
  const AddedToken* LongestAt(absl::string_view text, size_t pos) const;

  std::vector<AddedToken> tokens_;
  // A trie. Node 0 is the root; the key is node * 256 + byte.
  absl::flat_hash_map<uint64_t, uint32_t> children_;
  std::vector<int32_t> token_at_;  // index into tokens_ per node, or -1
  std::array<bool, 256> starts_ = {};
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_ADDED_TOKENS_H_
