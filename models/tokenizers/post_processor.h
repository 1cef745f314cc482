// What a tokenizer file adds around every text. quantd adds nothing itself
// (callers decide, and say so in their reports); it reads this to know the
// tokenizer's own habit.
#ifndef QUANTD_MODELS_TOKENIZERS_POST_PROCESSOR_H_
#define QUANTD_MODELS_TOKENIZERS_POST_PROCESSOR_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "models/json_text.h"

namespace quantd {

// The id that the member "post_processor" of tokenizer.json puts before every
// single text, if any. Understands ByteLevel, TemplateProcessing and
// Sequence; Unimplemented names another type.
absl::StatusOr<std::optional<int32_t>> ReadLeadingToken(const JsonReader& file);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_POST_PROCESSOR_H_
