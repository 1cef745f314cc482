// The four Unicode normalization forms (Unicode Standard Annex 15).
#ifndef QUANTD_MODELS_TOKENIZERS_UNICODE_FORM_H_
#define QUANTD_MODELS_TOKENIZERS_UNICODE_FORM_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace quantd {

enum class UnicodeForm { kNfc, kNfd, kNfkc, kNfkd };

// Appends `text` in that form. REQUIRES: valid UTF-8.
absl::Status AppendInForm(absl::string_view text, UnicodeForm form,
                          std::string* result);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_UNICODE_FORM_H_
