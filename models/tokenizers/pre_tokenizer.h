// Cuts a text into the words that a model encodes one by one.
//
// Immutable and thread-safe; each call brings its own Scratch.
#ifndef QUANTD_MODELS_TOKENIZERS_PRE_TOKENIZER_H_
#define QUANTD_MODELS_TOKENIZERS_PRE_TOKENIZER_H_

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"
#include "models/tokenizers/pattern.h"

namespace quantd {

class PreTokenizer {
 public:
  struct Scratch {
    MatchScratch match;
    // Words that are not slices of the text; they live as long as this.
    std::deque<std::string> owned;
  };

  // What becomes of the matches of a pattern.
  enum class Behavior {
    kIsolated,            // each is a word
    kRemoved,             // dropped
    kMergedWithPrevious,  // joined to the part before it
    kMergedWithNext,      // joined to the part behind it
    kContiguous,          // neighbouring matches are one word
  };

  // From the member "pre_tokenizer" of tokenizer.json: absent, null,
  // ByteLevel, Digits, Split or a Sequence of them with ByteLevel last.
  // Unimplemented names another type.
  static absl::StatusOr<PreTokenizer> Create(const JsonReader& file);
  // One Split step.
  static PreTokenizer FromPattern(std::unique_ptr<const Pattern> pattern,
                                  Behavior behavior, bool invert);

  // Whether words go to the model as bytes in the byte-level alphabet.
  bool byte_level() const { return byte_level_; }

  // Calls `sink` with each word, in order; none is empty. REQUIRES: valid
  // UTF-8.
  absl::Status Split(absl::string_view text, Scratch& scratch,
                     absl::FunctionRef<void(absl::string_view)> sink) const;

 private:
  struct Step {
    // Puts a space before a word that does not begin with one, then cuts.
    bool add_prefix_space = false;
    std::unique_ptr<const Pattern> pattern;  // null: no cut
    Behavior behavior = Behavior::kIsolated;
    bool invert = false;
  };
  class Builder;

  absl::Status RunStep(size_t step, absl::string_view text, Scratch& scratch,
                       absl::FunctionRef<void(absl::string_view)> sink) const;

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_PRE_TOKENIZER_H_
