// What the pre-tokenizer and the decoder "Metaspace" share.
#ifndef QUANTD_MODELS_TOKENIZERS_METASPACE_H_
#define QUANTD_MODELS_TOKENIZERS_METASPACE_H_

#include <string>

#include "absl/status/statusor.h"
#include "models/json_text.h"

namespace quantd {

struct Metaspace {
  enum class Prepend { kAlways, kFirst, kNever };

  std::string replacement = "\xE2\x96\x81";  // one character, U+2581
  Prepend prepend = Prepend::kAlways;
  bool split = true;
};

// InvalidArgument: the replacement is not one character, the scheme is
// unknown, or add_prefix_space contradicts it.
absl::StatusOr<Metaspace> ReadMetaspace(const JsonReader& member);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_METASPACE_H_
