// What quantd reads of SentencePiece's tokenizer.model, a serialized message
// sentencepiece.ModelProto:
//
//   repeated SentencePiece pieces = 1;        piece = 1, score = 2, type = 3
//   optional TrainerSpec trainer_spec = 2;    model_type = 3,
//       treat_whitespace_as_suffix = 24, byte_fallback = 35, bos_id = 41,
//       eos_id = 42, unk_surface = 44
//   optional NormalizerSpec normalizer_spec = 3;    precompiled_charsmap = 2,
//       add_dummy_prefix = 3, remove_extra_whitespaces = 4,
//       escape_whitespaces = 5
//   optional NormalizerSpec denormalizer_spec = 5;
//
// Source: sentencepiece_model.proto of github.com/google/sentencepiece.
#ifndef QUANTD_MODELS_TOKENIZERS_SENTENCE_PIECE_MODEL_H_
#define QUANTD_MODELS_TOKENIZERS_SENTENCE_PIECE_MODEL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/tokenizers/precompiled_charsmap.h"

namespace quantd {

// The values are those of the file.
enum class PieceType : int32_t {
  kNormal = 1,
  kUnknown = 2,      // stands for what is no piece; exactly one
  kControl = 3,      // "<s>": has an id and no text
  kUserDefined = 4,  // neither normalized nor merged with what is around it
  kUnused = 5,       // a merge goes through it, the result does not have it
  kByte = 6,         // "<0xE2>"
};

struct SentencePiece {
  std::string text;  // not empty, UTF-8
  float score = 0;   // finite
  PieceType type = PieceType::kNormal;
};

struct SentencePieceNormalizerSpec {
  PrecompiledCharsmap charsmap;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
};

struct SentencePieceModel {
  enum class Type : int32_t { kUnigram = 1, kBpe = 2, kWord = 3, kChar = 4 };

  Type type = Type::kUnigram;
  std::vector<SentencePiece> pieces;  // by id
  int32_t unknown_id = 0;
  // Ids of control pieces, if the model has them.
  std::optional<int32_t> bos_id;
  std::optional<int32_t> eos_id;
  bool byte_fallback = false;
  bool treat_whitespace_as_suffix = false;
  std::string unknown_surface = " \xE2\x81\x87 ";  // U+2047 between spaces
  SentencePieceNormalizerSpec normalizer;
  std::optional<SentencePieceNormalizerSpec> denormalizer;
};

// InvalidArgument names the piece or the byte of the file and the fault: no or
// too many pieces, a piece that is empty, too long, not UTF-8, or defined
// twice; a score that is not finite; a type that does not exist; not exactly
// one unknown piece; byte pieces that contradict byte_fallback; a broken
// character table.
absl::StatusOr<SentencePieceModel> ParseSentencePieceModel(
    absl::string_view bytes);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_SENTENCE_PIECE_MODEL_H_
