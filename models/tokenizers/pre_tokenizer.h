// Cuts a text into the words that a model encodes one by one.
//
// To add a step: a factory in pre_tokenizer_step.h and a row in
// pre_tokenizer.cc.
//
// Immutable and thread-safe; each call brings its own Scratch.
#ifndef QUANTD_MODELS_TOKENIZERS_PRE_TOKENIZER_H_
#define QUANTD_MODELS_TOKENIZERS_PRE_TOKENIZER_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"
#include "models/tokenizers/pattern.h"
#include "models/tokenizers/pre_tokenizer_step.h"
#include "models/tokenizers/split_behavior.h"

namespace quantd {

class PreTokenizer {
 public:
  using Scratch = PreTokenizerStep::Scratch;

  // From the member "pre_tokenizer" of tokenizer.json: absent, null, one step
  // of the table, or a Sequence of them. Unimplemented names another type;
  // InvalidArgument the member that is wrong.
  static absl::StatusOr<PreTokenizer> Create(const JsonReader& file);
  // One Split step.
  static PreTokenizer FromPattern(std::unique_ptr<const Pattern> pattern,
                                  SplitBehavior behavior, bool invert);

  // Whether the last step spells the bytes of each word in the alphabet of
  // byte_level.h.
  bool ends_in_byte_spelling() const;
  // Takes that step away: the words are then the bytes themselves, for a model
  // that takes them so. REQUIRES: ends_in_byte_spelling().
  void DropByteSpelling();

  // Calls `sink` with each word, in order; none is empty. They live as long as
  // `part` and `scratch`. ResourceExhausted when a pattern backtracks without
  // end or the steps take too much memory. REQUIRES: valid UTF-8.
  absl::Status Split(const TextPart& part, Scratch& scratch,
                     absl::FunctionRef<void(absl::string_view)> sink) const;

 private:
  class Builder;

  absl::Status RunStep(size_t step, const TextPart& part, Scratch& scratch,
                       absl::FunctionRef<void(absl::string_view)> sink) const;

  std::vector<std::unique_ptr<const PreTokenizerStep>> steps_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_PRE_TOKENIZER_H_
