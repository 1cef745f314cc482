// Classes of characters as tokenizer files mean them: by Unicode's properties,
// not by the locale.
//
// Source: Unicode Standard Annex 44, general categories (by utf8proc) and the
// property White_Space.
#ifndef QUANTD_MODELS_TOKENIZERS_CHARACTER_CLASS_H_
#define QUANTD_MODELS_TOKENIZERS_CHARACTER_CLASS_H_

#include <array>
#include <cstddef>

#include "absl/strings/string_view.h"
#include "base/utf8.h"

namespace quantd {

// Unicode's White_Space.
bool IsWhiteSpace(char32_t c);

// Letters (circled and squared ones too), marks, decimal digits, letter
// numbers, connectors and the two zero width joiners: \w of Unicode Technical
// Standard 18.
bool IsWordCharacter(char32_t c);

// Categories P*, and the ASCII signs that Unicode calls symbols ("$+<=>^`|~").
bool IsPunctuation(char32_t c);

// Categories Nd, Nl, No.
bool IsNumeric(char32_t c);

// Categories Cc, Cf, Cs, Co: controls, formats, private use.
bool IsControlOrFormat(char32_t c);

// Category Mn.
bool IsNonspacingMark(char32_t c);

// Categories Mn, Mc, Me.
bool IsMark(char32_t c);

// The ideographs that BERT puts spaces around: the CJK blocks its authors
// listed, without kana and Hangul.
bool IsBertIdeograph(char32_t c);

// REQUIRES: valid UTF-8.
inline absl::string_view FirstCharacter(absl::string_view text) {
  size_t length = 0;
  if (!text.empty()) DecodeUtf8(text, 0, &length);
  return text.substr(0, length);
}

// Start of the character that ends at `end`. REQUIRES: valid UTF-8, end > 0.
inline size_t PreviousCharacter(absl::string_view text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 &&
         (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) {
    --begin;
  }
  return begin;
}

// A class with the answers for ASCII, which is most of all text, at hand.
class CharacterClass {
 public:
  using Predicate = bool (*)(char32_t);

  explicit CharacterClass(Predicate predicate) : predicate_(predicate) {
    for (size_t c = 0; c < ascii_.size(); ++c) {
      ascii_[c] = predicate(static_cast<char32_t>(c));
    }
  }

  // Whether the character at `pos` belongs; `*length` receives its bytes.
  // REQUIRES: valid UTF-8.
  bool ContainsAt(absl::string_view text, size_t pos, size_t* length) const {
    const auto byte = static_cast<unsigned char>(text[pos]);
    if (byte < ascii_.size()) {
      *length = 1;
      return ascii_[byte];
    }
    return predicate_(DecodeUtf8(text, pos, length));
  }

 private:
  Predicate predicate_;
  std::array<bool, 128> ascii_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_CHARACTER_CLASS_H_
