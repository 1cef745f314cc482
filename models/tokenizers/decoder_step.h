// One step of a decoder: it changes a list of pieces, which begin as the
// tokens and end, joined, as the text. The factories read the step's own
// members of tokenizer.json.
#ifndef QUANTD_MODELS_TOKENIZERS_DECODER_STEP_H_
#define QUANTD_MODELS_TOKENIZERS_DECODER_STEP_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/json_text.h"

namespace quantd {

struct DecodedPiece {
  std::string text;
  // From an added token, whose content is text, not spelled bytes.
  bool is_added = false;
};

using DecodedPieces = std::vector<DecodedPiece>;

// Immutable and thread-safe.
class DecoderStep {
 public:
  virtual ~DecoderStep() = default;

  // Keeps each piece valid UTF-8.
  virtual absl::Status Apply(DecodedPieces* pieces) const = 0;
};

using NewDecoderStep = absl::StatusOr<std::unique_ptr<const DecoderStep>>;

// {"type": "ByteLevel"}: spelled bytes become text.
NewDecoderStep NewByteLevelDecoder(const JsonReader& member);
// {"type": "ByteFallback"}: runs of tokens such as "<0xE2>" become text, or
// one U+FFFD a byte if they are no characters.
NewDecoderStep NewByteFallbackDecoder(const JsonReader& member);
// {"type": "Fuse"}: one piece.
NewDecoderStep NewFuseDecoder(const JsonReader& member);
// {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}
NewDecoderStep NewReplaceDecoder(const JsonReader& member);
// {"type": "Strip", "content": " ", "start": 1, "stop": 0}: up to so many of
// the character at both ends of each piece.
NewDecoderStep NewStripDecoder(const JsonReader& member);
// {"type": "Metaspace", "replacement": "_", "prepend_scheme": "always"}
NewDecoderStep NewMetaspaceDecoder(const JsonReader& member);
// {"type": "WordPiece", "prefix": "##", "cleanup": true}
NewDecoderStep NewWordPieceDecoder(const JsonReader& member);
// {"type": "BPEDecoder", "suffix": "</w>"}
NewDecoderStep NewSuffixDecoder(const JsonReader& member);
// {"type": "CTC", "pad_token": "<pad>", "word_delimiter_token": "|",
//  "cleanup": true}: repeated tokens count once.
NewDecoderStep NewCtcDecoder(const JsonReader& member);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_DECODER_STEP_H_
