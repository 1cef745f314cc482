#include "models/tokenizers/precompiled_charsmap.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/utf8.h"

namespace quantd {
namespace {

constexpr size_t kUnitBytes = 4;

// Independent of the machine's byte order.
uint32_t ReadUint32(absl::string_view bytes, size_t pos) {
  uint32_t value = 0;
  for (size_t i = 0; i < kUnitBytes; ++i) {
    value |= uint32_t{static_cast<uint8_t>(bytes[pos + i])} << (8 * i);
  }
  return value;
}

uint32_t Label(uint32_t unit) { return unit & 0x800000FF; }
uint32_t Offset(uint32_t unit) { return unit >> 10 << ((unit & 0x200) >> 6); }
bool EndsKey(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t Value(uint32_t unit) { return unit & 0x7FFFFFFF; }

bool IsContinuation(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

}  // namespace

absl::StatusOr<PrecompiledCharsmap> PrecompiledCharsmap::Parse(
    absl::string_view bytes) {
  PrecompiledCharsmap charsmap;
  if (bytes.empty()) return charsmap;
  if (bytes.size() < kUnitBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a character table of ", bytes.size(), " bytes"));
  }
  const uint32_t trie_bytes = ReadUint32(bytes, 0);
  bytes.remove_prefix(kUnitBytes);
  if (trie_bytes == 0 || trie_bytes % kUnitBytes != 0 ||
      trie_bytes > bytes.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a character table with a trie of ", trie_bytes,
                     " bytes in the ", bytes.size(), " that follow"));
  }
  charsmap.units_.resize(trie_bytes / kUnitBytes);
  for (size_t i = 0; i < charsmap.units_.size(); ++i) {
    charsmap.units_[i] = ReadUint32(bytes, i * kUnitBytes);
  }
  const absl::string_view strings = bytes.substr(trie_bytes);
  if (const size_t valid = ValidUtf8Prefix(strings); valid != strings.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a character table whose strings are not UTF-8 at byte ", valid));
  }
  charsmap.strings_ = std::string(strings);
  return charsmap;
}

std::optional<absl::string_view> PrecompiledCharsmap::StringAt(
    uint32_t offset) const {
  // A start inside a character would make text that is not UTF-8.
  if (offset >= strings_.size() || IsContinuation(strings_[offset])) {
    return std::nullopt;
  }
  const absl::string_view rest = absl::string_view(strings_).substr(offset);
  return rest.substr(0, rest.find('\0'));
}

// Calls `visit` with the bytes and the value of each key that `text` begins
// with, shortest first, until it returns false.
template <typename Visit>
void PrecompiledCharsmap::VisitKeys(absl::string_view text, Visit visit) const {
  if (units_.empty()) return;
  uint32_t node = Offset(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (node >= units_.size() || Label(units_[node]) != byte) return;
    const uint32_t unit = units_[node];
    node ^= Offset(unit);
    if (!EndsKey(unit)) continue;
    if (node >= units_.size()) return;
    // Only whole characters are keys; a broken trie may say otherwise.
    if (i + 1 < text.size() && IsContinuation(text[i + 1])) continue;
    if (!visit(i + 1, Value(units_[node]))) return;
  }
}

bool PrecompiledCharsmap::MayBeginWith(char first) const {
  if (units_.empty()) return false;
  const auto byte = static_cast<uint8_t>(first);
  const uint32_t node = Offset(units_[0]) ^ byte;
  return node < units_.size() && Label(units_[node]) == byte;
}

std::optional<PrecompiledCharsmap::Rule> PrecompiledCharsmap::Longest(
    absl::string_view text) const {
  std::optional<Rule> rule;
  VisitKeys(text, [&](size_t length, uint32_t value) {
    if (const auto replacement = StringAt(value)) {
      rule = Rule{length, *replacement};
    }
    return true;
  });
  return rule;
}

std::optional<PrecompiledCharsmap::Rule> PrecompiledCharsmap::Shortest(
    absl::string_view text) const {
  std::optional<Rule> rule;
  VisitKeys(text, [&](size_t length, uint32_t value) {
    if (const auto replacement = StringAt(value)) {
      rule = Rule{length, *replacement};
    }
    return !rule.has_value();
  });
  return rule;
}

}  // namespace quantd
