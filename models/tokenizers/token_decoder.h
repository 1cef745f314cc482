// From tokens back to text: the member "decoder" of tokenizer.json.
//
// To add a step: a factory in decoder_step.h and a row in token_decoder.cc.
//
// Immutable and thread-safe.
#ifndef QUANTD_MODELS_TOKENIZERS_TOKEN_DECODER_H_
#define QUANTD_MODELS_TOKENIZERS_TOKEN_DECODER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/json_text.h"
#include "models/tokenizers/decoder_step.h"
#include "models/tokenizers/token_model.h"

namespace quantd {

class TokenDecoder {
 public:
  // Without the member, tokens are joined by spaces, unless they are spelled
  // bytes (`form`): then as by {"type": "ByteLevel"}. Unimplemented names a
  // type that is not in the table; InvalidArgument the member that is wrong.
  static absl::StatusOr<TokenDecoder> Create(const JsonReader& file,
                                             WordForm form);

  // The text of the tokens, always UTF-8. ResourceExhausted when a replacement
  // pattern backtracks without end or the result is over 1 GiB.
  absl::StatusOr<std::string> Decode(std::vector<DecodedPiece> pieces) const;

 private:
  std::vector<std::unique_ptr<const DecoderStep>> steps_;
  bool joins_by_spaces_ = false;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_TOKEN_DECODER_H_
