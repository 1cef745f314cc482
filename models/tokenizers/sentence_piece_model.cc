#include "models/tokenizers/sentence_piece_model.h"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "models/json_text.h"
#include "models/tokenizers/vocabulary.h"
#include "models/tokenizers/wire_reader.h"

namespace quantd {
namespace {

// The trainer's default is 16 characters; all cuts of a piece are looked at.
constexpr size_t kMaxPieceBytes = 1024;

absl::Status Fault(const WireReader& reader, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("byte ", reader.field_offset(), ": ", what));
}

// Calls `visit` with each field of a message; others than those it knows are
// for it to pass over.
using FieldVisitor =
    absl::FunctionRef<absl::Status(const WireField&, const WireReader&)>;

absl::Status VisitFields(absl::string_view bytes, size_t offset,
                         FieldVisitor visit) {
  WireReader reader(bytes, offset);
  while (!reader.AtEnd()) {
    ASSIGN_OR_RETURN(const WireField field, reader.Next());
    RETURN_IF_ERROR(visit(field, reader));
  }
  return absl::OkStatus();
}

absl::Status Expect(WireType type, const WireField& field,
                    const WireReader& reader, absl::string_view name) {
  if (field.type == type) return absl::OkStatus();
  return Fault(reader, absl::StrCat(name, ": unexpected wire type ",
                                    static_cast<uint32_t>(field.type)));
}

absl::Status ReadPiece(absl::string_view bytes, size_t offset,
                       SentencePiece* piece) {
  return VisitFields(
      bytes, offset, [piece](const WireField& field, const WireReader& reader) {
        switch (field.number) {
          case 1:
            RETURN_IF_ERROR(Expect(WireType::kBytes, field, reader, "piece"));
            piece->text = std::string(field.bytes);
            break;
          case 2: {
            RETURN_IF_ERROR(Expect(WireType::kFixed32, field, reader, "score"));
            const auto bits = static_cast<uint32_t>(field.value);
            std::memcpy(&piece->score, &bits, sizeof(bits));
            break;
          }
          case 3:
            RETURN_IF_ERROR(Expect(WireType::kVarint, field, reader, "type"));
            if (field.value < 1 || field.value > 6) {
              return Fault(reader, absl::StrCat("piece of type ", field.value));
            }
            piece->type = static_cast<PieceType>(field.value);
            break;
        }
        return absl::OkStatus();
      });
}

// Before the pieces are known: ids as written, -1 for "no such piece".
struct TrainerSpec {
  int32_t bos_id = 1;
  int32_t eos_id = 2;
};

absl::Status ReadTrainerSpec(absl::string_view bytes, size_t offset,
                             SentencePieceModel* model, TrainerSpec* spec) {
  return VisitFields(
      bytes, offset, [&](const WireField& field, const WireReader& reader) {
        switch (field.number) {
          case 3:
            RETURN_IF_ERROR(
                Expect(WireType::kVarint, field, reader, "model_type"));
            if (field.value < 1 || field.value > 4) {
              return Fault(reader, absl::StrCat("model of type ", field.value));
            }
            model->type = static_cast<SentencePieceModel::Type>(field.value);
            break;
          case 24:
            model->treat_whitespace_as_suffix = field.value != 0;
            return Expect(WireType::kVarint, field, reader,
                          "treat_whitespace_as_suffix");
          case 35:
            model->byte_fallback = field.value != 0;
            return Expect(WireType::kVarint, field, reader, "byte_fallback");
          case 41:
            spec->bos_id = static_cast<int32_t>(field.value);
            return Expect(WireType::kVarint, field, reader, "bos_id");
          case 42:
            spec->eos_id = static_cast<int32_t>(field.value);
            return Expect(WireType::kVarint, field, reader, "eos_id");
          case 44:
            RETURN_IF_ERROR(
                Expect(WireType::kBytes, field, reader, "unk_surface"));
            if (!IsValidUtf8(field.bytes)) {
              return Fault(reader, "unk_surface is not UTF-8");
            }
            model->unknown_surface = std::string(field.bytes);
            break;
        }
        return absl::OkStatus();
      });
}

absl::Status ReadNormalizerSpec(absl::string_view bytes, size_t offset,
                                SentencePieceNormalizerSpec* spec) {
  return VisitFields(
      bytes, offset, [spec](const WireField& field, const WireReader& reader) {
        switch (field.number) {
          case 2: {
            RETURN_IF_ERROR(Expect(WireType::kBytes, field, reader,
                                   "precompiled_charsmap"));
            auto charsmap = PrecompiledCharsmap::Parse(field.bytes);
            if (!charsmap.ok()) {
              return Fault(reader, charsmap.status().message());
            }
            spec->charsmap = *std::move(charsmap);
            break;
          }
          case 3:
            spec->add_dummy_prefix = field.value != 0;
            return Expect(WireType::kVarint, field, reader, "add_dummy_prefix");
          case 4:
            spec->remove_extra_whitespaces = field.value != 0;
            return Expect(WireType::kVarint, field, reader,
                          "remove_extra_whitespaces");
          case 5:
            spec->escape_whitespaces = field.value != 0;
            return Expect(WireType::kVarint, field, reader,
                          "escape_whitespaces");
        }
        return absl::OkStatus();
      });
}

// Pieces that are found in texts, as opposed to those that only have an id.
bool IsSought(PieceType type) {
  return type == PieceType::kNormal || type == PieceType::kUserDefined ||
         type == PieceType::kUnused;
}

absl::Status CheckPieces(SentencePieceModel* model) {
  const auto fault = [](size_t id, const auto&... parts) {
    return absl::InvalidArgumentError(
        absl::StrCat("pieces[", id, "]: ", parts...));
  };
  if (model->pieces.empty()) {
    return absl::InvalidArgumentError("pieces: none");
  }
  absl::flat_hash_set<absl::string_view> sought;
  absl::flat_hash_set<absl::string_view> reserved;
  std::array<bool, 256> has_byte = {};
  std::optional<int32_t> unknown;
  bool any_sought = false;
  for (size_t id = 0; id < model->pieces.size(); ++id) {
    const SentencePiece& piece = model->pieces[id];
    if (piece.text.empty()) return fault(id, "empty");
    if (piece.text.size() > kMaxPieceBytes) {
      return fault(id, piece.text.size(), " bytes, the limit is ",
                   kMaxPieceBytes);
    }
    if (!IsValidUtf8(piece.text)) return fault(id, "not UTF-8");
    if (!std::isfinite(piece.score)) return fault(id, "score is not finite");
    auto& names = IsSought(piece.type) ? sought : reserved;
    any_sought = any_sought || IsSought(piece.type);
    if (!names.insert(piece.text).second) {
      return fault(id, Quoted(piece.text), " is an earlier piece");
    }
    if (piece.type == PieceType::kUnknown) {
      if (unknown) return fault(id, "a second piece of type UNKNOWN");
      unknown = static_cast<int32_t>(id);
    }
    if (piece.type == PieceType::kByte) {
      const std::optional<uint8_t> byte = ByteTokens::ByteOf(piece.text);
      if (!byte) return fault(id, Quoted(piece.text), " names no byte");
      if (!model->byte_fallback) {
        return fault(id, "a byte piece, but byte_fallback is false");
      }
      has_byte[*byte] = true;
    }
  }
  if (!unknown) {
    return absl::InvalidArgumentError("pieces: none of type UNKNOWN");
  }
  if (!any_sought) {
    return absl::InvalidArgumentError("pieces: none of type NORMAL");
  }
  model->unknown_id = *unknown;
  for (size_t byte = 0; model->byte_fallback && byte < has_byte.size();
       ++byte) {
    if (!has_byte[byte]) {
      return absl::InvalidArgumentError(
          absl::StrCat("pieces: none for byte ",
                       ByteTokens::NameOf(static_cast<uint8_t>(byte)),
                       ", but byte_fallback is true"));
    }
  }
  return absl::OkStatus();
}

// `id` if it is that of a control piece.
std::optional<int32_t> ControlPiece(const SentencePieceModel& model,
                                    int32_t id) {
  if (id < 0 || static_cast<size_t>(id) >= model.pieces.size() ||
      model.pieces[static_cast<size_t>(id)].type != PieceType::kControl) {
    return std::nullopt;
  }
  return id;
}

}  // namespace

absl::StatusOr<SentencePieceModel> ParseSentencePieceModel(
    absl::string_view bytes) {
  SentencePieceModel model;
  TrainerSpec spec;
  RETURN_IF_ERROR(VisitFields(
      bytes, 0, [&](const WireField& field, const WireReader& reader) {
        const size_t offset = reader.field_offset();
        switch (field.number) {
          case 1: {
            RETURN_IF_ERROR(Expect(WireType::kBytes, field, reader, "pieces"));
            if (model.pieces.size() > static_cast<size_t>(kMaxTokenId)) {
              return Fault(reader,
                           absl::StrCat("more than ", kMaxTokenId, " pieces"));
            }
            model.pieces.emplace_back();
            return ReadPiece(field.bytes, offset, &model.pieces.back());
          }
          case 2:
            RETURN_IF_ERROR(
                Expect(WireType::kBytes, field, reader, "trainer_spec"));
            return ReadTrainerSpec(field.bytes, offset, &model, &spec);
          case 3:
            RETURN_IF_ERROR(
                Expect(WireType::kBytes, field, reader, "normalizer_spec"));
            return ReadNormalizerSpec(field.bytes, offset, &model.normalizer);
          case 5: {
            RETURN_IF_ERROR(
                Expect(WireType::kBytes, field, reader, "denormalizer_spec"));
            SentencePieceNormalizerSpec denormalizer;
            RETURN_IF_ERROR(
                ReadNormalizerSpec(field.bytes, offset, &denormalizer));
            // Without a table it is not used, whatever else it says.
            if (!denormalizer.charsmap.empty()) {
              model.denormalizer = std::move(denormalizer);
            }
            return absl::OkStatus();
          }
        }
        return absl::OkStatus();
      }));
  RETURN_IF_ERROR(CheckPieces(&model));
  model.bos_id = ControlPiece(model, spec.bos_id);
  model.eos_id = ControlPiece(model, spec.eos_id);
  return model;
}

}  // namespace quantd
