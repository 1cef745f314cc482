#include "models/tokenizers/tokenizer_base.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace quantd {

absl::Status CheckText(absl::string_view text) {
  if (text.size() > kMaxTextBytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "text of ", text.size(), " bytes, the limit is ", kMaxTextBytes));
  }
  if (const size_t valid = ValidUtf8Prefix(text); valid != text.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("text is not UTF-8 at byte ", valid));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int32_t>> TokenizerBase::EncodeWithSpecialTokens(
    absl::string_view text) const {
  ASSIGN_OR_RETURN(std::vector<int32_t> ids, Encode(text));
  const SpecialTokens& special = markers_.special;
  ids.insert(ids.begin(), special.before.begin(), special.before.end());
  ids.insert(ids.end(), special.after.begin(), special.after.end());
  return ids;
}

absl::Status TokenizerBase::UnknownId(int32_t id) const {
  return absl::OutOfRangeError(absl::StrCat(
      "token id ", id, " is not in the vocabulary of ", vocabulary_size()));
}

}  // namespace quantd
