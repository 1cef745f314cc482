#include "models/tokenizers/safe_cuts.h"

#include "base/utf8.h"
#include "models/tokenizers/character_class.h"

namespace quantd {
namespace {

// Parts up to this long are merged quickly and may be remembered.
constexpr size_t kLongPart = 48;

uint64_t Pair(char32_t left, char32_t right) {
  return uint64_t{left} << 32 | right;
}

// A space, a line end, or the first byte of U+2581, which stands for a space.
bool MayBeginWord(char c) { return c == ' ' || c == '\n' || c == '\xE2'; }

char32_t LastCharacter(absl::string_view text) {
  size_t length = 0;
  return DecodeUtf8(text, PreviousCharacter(text, text.size()), &length);
}

}  // namespace

void SafeCuts::AddMerge(absl::string_view left, absl::string_view right) {
  size_t length = 0;
  joined_.insert(Pair(LastCharacter(left), DecodeUtf8(right, 0, &length)));
}

bool SafeCuts::IsSafe(absl::string_view text, size_t pos) const {
  size_t length = 0;
  const char32_t right = DecodeUtf8(text, pos, &length);
  return (allow_unknown_ || known_.contains(right)) &&
         !joined_.contains(Pair(LastCharacter(text.substr(0, pos)), right));
}

void SafeCuts::VisitParts(
    absl::string_view text,
    absl::FunctionRef<void(absl::string_view)> sink) const {
  const auto emit = [&](absl::string_view part) {
    return part.size() > kLongPart ? VisitLongPart(part, sink) : sink(part);
  };
  size_t begin = 0;
  for (size_t pos = 1; pos < text.size(); ++pos) {
    if (!MayBeginWord(text[pos]) || !IsSafe(text, pos)) continue;
    emit(text.substr(begin, pos - begin));
    begin = pos;
  }
  if (begin < text.size()) emit(text.substr(begin));
}

void SafeCuts::VisitLongPart(
    absl::string_view part,
    absl::FunctionRef<void(absl::string_view)> sink) const {
  size_t begin = 0;
  size_t length = 0;
  DecodeUtf8(part, 0, &length);
  for (size_t pos = length; pos < part.size(); pos += length) {
    DecodeUtf8(part, pos, &length);
    if (!IsSafe(part, pos)) continue;
    sink(part.substr(begin, pos - begin));
    begin = pos;
  }
  sink(part.substr(begin));
}

}  // namespace quantd
