// The character table that SentencePiece compiles its normalization rules
// into, as it stands in tokenizer.model (precompiled_charsmap) and, in base64,
// in tokenizer.json.
//
// Layout, little endian:
//
//   uint32  bytes of the trie, a multiple of four
//   uint32  units of a double array (Darts-clone), keys are UTF-8, values are
//           offsets into the strings
//   char    the strings, each ended by a zero byte
//
// A unit has the label of its edge in bits 0-7 and 31, the offset to its
// children in bits 10-30 (times 256 if bit 9 is set), and in bit 8 whether a
// key ends there; the child under label 0 then holds the value in bits 0-30.
// Source: darts-clone's darts.h and SentencePiece's normalizer.
//
// Immutable and thread-safe.
#ifndef QUANTD_MODELS_TOKENIZERS_PRECOMPILED_CHARSMAP_H_
#define QUANTD_MODELS_TOKENIZERS_PRECOMPILED_CHARSMAP_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quantd {

class PrecompiledCharsmap {
 public:
  struct Rule {
    size_t length = 0;  // bytes of the key
    absl::string_view replacement;
  };

  // No rules.
  PrecompiledCharsmap() = default;

  // Empty bytes mean no rules. InvalidArgument when the sizes contradict each
  // other or the strings are not UTF-8. Links of the trie are checked as they
  // are followed: a broken one ends the key.
  static absl::StatusOr<PrecompiledCharsmap> Parse(absl::string_view bytes);

  bool empty() const { return units_.empty(); }

  // Whether a key may begin with this byte.
  bool MayBeginWith(char first) const;

  // The rule whose key is the longest, or the shortest, beginning of `text`.
  std::optional<Rule> Longest(absl::string_view text) const;
  std::optional<Rule> Shortest(absl::string_view text) const;

 private:
  template <typename Visit>
  void VisitKeys(absl::string_view text, Visit visit) const;
  std::optional<absl::string_view> StringAt(uint32_t offset) const;

  std::vector<uint32_t> units_;
  std::string strings_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_PRECOMPILED_CHARSMAP_H_
