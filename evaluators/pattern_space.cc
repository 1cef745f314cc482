#include "evaluators/pattern_space.h"

#include <cstddef>

#include "base/utf8.h"
#include "models/tokenizers/character_class.h"

namespace quantd {

bool IsPatternSpace(char32_t c) {
  return IsWhiteSpace(c) || (c >= 0x1c && c <= 0x1f);
}

absl::string_view StripPatternSpace(absl::string_view text) {
  size_t length = 0;
  while (!text.empty() && IsPatternSpace(DecodeUtf8(text, 0, &length))) {
    text.remove_prefix(length);
  }
  while (!text.empty()) {
    const size_t begin = PreviousCharacter(text, text.size());
    if (!IsPatternSpace(DecodeUtf8(text, begin, &length))) break;
    text = text.substr(0, begin);
  }
  return text;
}

uint64_t CountPieces(absl::string_view text) {
  static const CharacterClass* const space = new CharacterClass(IsPatternSpace);
  uint64_t pieces = 1;
  bool in_space = false;
  size_t length = 0;
  for (size_t pos = 0; pos < text.size(); pos += length) {
    const bool is_space = space->ContainsAt(text, pos, &length);
    pieces += is_space && !in_space ? 1 : 0;
    in_space = is_space;
  }
  return pieces;
}

}  // namespace quantd
