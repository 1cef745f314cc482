// What becomes of a text before it is split: Unicode forms, case, white space,
// replacements.
//
//   {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "_"},
//                                        {"type": "Lowercase"}]}
//
// To add one: a factory in normalizer_step.h and a row in normalizer.cc.
//
// Immutable and thread-safe.
#ifndef QUANTD_MODELS_TOKENIZERS_NORMALIZER_H_
#define QUANTD_MODELS_TOKENIZERS_NORMALIZER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"
#include "models/tokenizers/normalizer_step.h"

namespace quantd {

class Normalizer {
 public:
  // From the member "normalizer" of tokenizer.json: absent, null, one step of
  // the table, or a Sequence of them. Unimplemented names another type;
  // InvalidArgument the member that is wrong.
  static absl::StatusOr<Normalizer> Create(const JsonReader& file);

  bool empty() const { return steps_.empty(); }

  // REQUIRES: valid UTF-8. Returns valid UTF-8. ResourceExhausted when a
  // replacement pattern backtracks without end or the result is over 1 GiB.
  // `*drops_start`, if given, receives whether the first character of `text`
  // was removed on the way.
  absl::StatusOr<std::string> Apply(absl::string_view text,
                                    bool* drops_start = nullptr) const;

 private:
  std::vector<std::unique_ptr<const NormalizerStep>> steps_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_NORMALIZER_H_
