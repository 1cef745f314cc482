// "Replace" as normalizers and decoders have it:
//
//   {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}
//
// Immutable and thread-safe.
#ifndef QUANTD_MODELS_TOKENIZERS_REPLACEMENT_H_
#define QUANTD_MODELS_TOKENIZERS_REPLACEMENT_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"
#include "models/tokenizers/pattern.h"

namespace quantd {

class Replacement {
 public:
  // From the members "pattern" and "content". InvalidArgument names the one
  // that is wrong.
  static absl::StatusOr<Replacement> Create(const JsonReader& member);

  // Appends `text` with every match replaced. ResourceExhausted when `result`
  // becomes larger than 1 GiB or a pattern backtracks without end. REQUIRES:
  // valid UTF-8.
  absl::Status Append(absl::string_view text, std::string* result) const;

  // Whether a match at the start of `text` is replaced by nothing.
  bool DropsStart(absl::string_view text) const;

 private:
  Replacement(PatternText pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  PatternText pattern_;
  std::string content_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_REPLACEMENT_H_
