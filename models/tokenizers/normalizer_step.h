// One step of a normalizer. The factories read the step's own members of
// tokenizer.json.
#ifndef QUANTD_MODELS_TOKENIZERS_NORMALIZER_STEP_H_
#define QUANTD_MODELS_TOKENIZERS_NORMALIZER_STEP_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"

namespace quantd {

// Immutable and thread-safe.
class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;

  // Appends the changed `text`. REQUIRES: valid UTF-8; appends valid UTF-8.
  virtual absl::Status Apply(absl::string_view text,
                             std::string* result) const = 0;

  // Whether the first character of `text` is removed, so that the result
  // begins with a later one.
  virtual bool DropsStart(absl::string_view text) const = 0;
};

using NewNormalizerStep = absl::StatusOr<std::unique_ptr<const NormalizerStep>>;

// NFC, NFD, NFKC, NFKD: the type is the form.
NewNormalizerStep NewUnicodeFormStep(const JsonReader& member);
// {"type": "Lowercase"}: each character by itself, so no final sigma.
NewNormalizerStep NewLowercaseStep(const JsonReader& member);
// {"type": "Strip", "strip_left": true, "strip_right": true}: white space.
NewNormalizerStep NewStripStep(const JsonReader& member);
// {"type": "StripAccents"}: drops combining marks; decompose before.
NewNormalizerStep NewStripAccentsStep(const JsonReader& member);
// {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}, or a
// pattern {"Regex": ...}.
NewNormalizerStep NewReplaceStep(const JsonReader& member);
// {"type": "Prepend", "prepend": "a"}: before a text that is not empty.
NewNormalizerStep NewPrependStep(const JsonReader& member);
// {"type": "Nmt"}: the clean-up of SentencePiece's nmt_* rules.
NewNormalizerStep NewNmtStep(const JsonReader& member);
// {"type": "ByteLevel"}: each byte as its character of byte_level.h.
NewNormalizerStep NewByteLevelStep(const JsonReader& member);
// {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
//  "strip_accents": null, "lowercase": true}; strip_accents null: as lowercase.
NewNormalizerStep NewBertStep(const JsonReader& member);
// {"type": "Precompiled", "precompiled_charsmap": base64}: a table that
// SentencePiece compiled, applied the way of Hugging Face's library, which
// differs from SentencePiece's: by grapheme cluster, shortest rule first.
NewNormalizerStep NewPrecompiledStep(const JsonReader& member);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_NORMALIZER_STEP_H_
