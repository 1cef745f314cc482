#include "models/tokenizers/character_class.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace quantd {
namespace {

struct Block {
  char32_t first;
  char32_t last;
};

template <size_t kCount>
bool Holds(const Block (&blocks)[kCount], char32_t c) {
  return std::any_of(blocks, blocks + kCount, [c](const Block& block) {
    return c >= block.first && c <= block.last;
  });
}

// Bit i stands for utf8proc's category i.
template <typename... Categories>
constexpr uint32_t Set(Categories... categories) {
  return (... | (uint32_t{1} << categories));
}

constexpr uint32_t kMarks =
    Set(UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_MC, UTF8PROC_CATEGORY_ME);
constexpr uint32_t kWord =
    kMarks | Set(UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_LL,
                 UTF8PROC_CATEGORY_LT, UTF8PROC_CATEGORY_LM,
                 UTF8PROC_CATEGORY_LO, UTF8PROC_CATEGORY_ND,
                 UTF8PROC_CATEGORY_NL, UTF8PROC_CATEGORY_PC);
constexpr uint32_t kPunctuation =
    Set(UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PD, UTF8PROC_CATEGORY_PS,
        UTF8PROC_CATEGORY_PE, UTF8PROC_CATEGORY_PI, UTF8PROC_CATEGORY_PF,
        UTF8PROC_CATEGORY_PO);
constexpr uint32_t kNumbers =
    Set(UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NL, UTF8PROC_CATEGORY_NO);
constexpr uint32_t kControlOrFormat =
    Set(UTF8PROC_CATEGORY_CC, UTF8PROC_CATEGORY_CF, UTF8PROC_CATEGORY_CS,
        UTF8PROC_CATEGORY_CO);

bool HasCategory(char32_t c, uint32_t set) {
  return (set >> utf8proc_category(static_cast<utf8proc_int32_t>(c)) & 1) != 0;
}

// Alphabetic, though of the category of symbols.
constexpr Block kEnclosedLetters[] = {
    {0x24B6, 0x24E9},
    {0x1F130, 0x1F149},
    {0x1F150, 0x1F169},
    {0x1F170, 0x1F189},
};

constexpr Block kBertIdeographs[] = {
    {0x3400, 0x4DBF},
    {0x4E00, 0x9FFF},
    {0xF900, 0xFAFF},
    {0x20000, 0x2A6DF},
    {0x2A700, 0x2B73F},
    {0x2B740, 0x2B81F},
    // Published files were made with this start; the block begins at 2B820.
    {0x2B920, 0x2CEAF},
    {0x2F800, 0x2FA1F},
};

}  // namespace

bool IsWhiteSpace(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool IsWordCharacter(char32_t c) {
  constexpr char32_t kZeroWidthNonJoiner = 0x200C;
  constexpr char32_t kZeroWidthJoiner = 0x200D;
  return HasCategory(c, kWord) || c == kZeroWidthNonJoiner ||
         c == kZeroWidthJoiner || Holds(kEnclosedLetters, c);
}

bool IsPunctuation(char32_t c) {
  const bool ascii_sign = (c >= 0x21 && c <= 0x2F) ||
                          (c >= 0x3A && c <= 0x40) ||
                          (c >= 0x5B && c <= 0x60) || (c >= 0x7B && c <= 0x7E);
  return ascii_sign || HasCategory(c, kPunctuation);
}

bool IsNumeric(char32_t c) { return HasCategory(c, kNumbers); }

bool IsControlOrFormat(char32_t c) { return HasCategory(c, kControlOrFormat); }

bool IsNonspacingMark(char32_t c) {
  return HasCategory(c, Set(UTF8PROC_CATEGORY_MN));
}

bool IsMark(char32_t c) { return HasCategory(c, kMarks); }

bool IsBertIdeograph(char32_t c) { return Holds(kBertIdeographs, c); }

}  // namespace quantd
