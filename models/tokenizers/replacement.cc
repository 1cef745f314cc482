#include "models/tokenizers/replacement.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

// A short text times a long content could exceed any memory.
constexpr size_t kMaxBytes = size_t{1} << 30;

absl::Status AppendBounded(absl::string_view text, std::string* result) {
  if (result->size() + text.size() > kMaxBytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "replacing makes the text larger than ", kMaxBytes, " bytes"));
  }
  result->append(text.data(), text.size());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Replacement> Replacement::Create(const JsonReader& member) {
  ASSIGN_OR_RETURN(std::string content, member.GetString("content"));
  ASSIGN_OR_RETURN(PatternText pattern, ReadPattern(member));
  return Replacement(std::move(pattern), std::move(content));
}

absl::Status Replacement::Append(absl::string_view text,
                                 std::string* result) const {
  if (pattern_.regex != nullptr) {
    MatchScratch scratch;
    return pattern_.regex->VisitMatches(
        text, scratch, [&](size_t begin, size_t end, bool is_match) {
          return AppendBounded(is_match ? absl::string_view(content_)
                                        : text.substr(begin, end - begin),
                               result);
        });
  }
  size_t pos = 0;
  while (pos < text.size()) {
    const size_t found =
        std::min(text.find(pattern_.literal, pos), text.size());
    RETURN_IF_ERROR(AppendBounded(text.substr(pos, found - pos), result));
    if (found == text.size()) break;
    RETURN_IF_ERROR(AppendBounded(content_, result));
    pos = found + pattern_.literal.size();
  }
  return absl::OkStatus();
}

bool Replacement::DropsStart(absl::string_view text) const {
  if (!content_.empty()) return false;
  if (pattern_.regex == nullptr) {
    return absl::StartsWith(text, pattern_.literal);
  }
  MatchScratch scratch;
  const auto match = pattern_.regex->Find(text, 0, scratch);
  return match.ok() && match->has_value() && (*match)->begin == 0 &&
         (*match)->end > 0;
}

}  // namespace quantd
