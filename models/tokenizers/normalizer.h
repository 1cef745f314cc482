// Unicode normalization forms applied to a text before it is split.
//
// Immutable and thread-safe.
#ifndef QUANTD_MODELS_TOKENIZERS_NORMALIZER_H_
#define QUANTD_MODELS_TOKENIZERS_NORMALIZER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"

namespace quantd {

class Normalizer {
 public:
  enum class Form { kNfc, kNfd, kNfkc, kNfkd };

  // From the member "normalizer" of tokenizer.json: absent, null, one of the
  // forms, or a Sequence of them. Unimplemented names another type.
  static absl::StatusOr<Normalizer> Create(const JsonReader& file);

  bool empty() const { return forms_.empty(); }

  // REQUIRES: valid UTF-8.
  absl::StatusOr<std::string> Apply(absl::string_view text) const;

 private:
  std::vector<Form> forms_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_NORMALIZER_H_
