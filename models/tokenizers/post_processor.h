// The special tokens that a tokenizer file puts around every text: the member
// "post_processor" of tokenizer.json.
//
//   {"type": "TemplateProcessing",
//    "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
//    "special_tokens": {"<s>": {"ids": [1]}}}
//
// Texts in pairs are not read.
#ifndef QUANTD_MODELS_TOKENIZERS_POST_PROCESSOR_H_
#define QUANTD_MODELS_TOKENIZERS_POST_PROCESSOR_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "models/json_text.h"

namespace quantd {

struct SpecialTokens {
  std::vector<int32_t> before;
  std::vector<int32_t> after;
};

// Understands BertProcessing, ByteLevel (which adds nothing),
// RobertaProcessing, TemplateProcessing and Sequence; none when the member is
// absent. Unimplemented names another type, or a template that does not hold
// the text exactly once; InvalidArgument the member that is wrong.
absl::StatusOr<SpecialTokens> ReadPostProcessor(const JsonReader& file);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_POST_PROCESSOR_H_
