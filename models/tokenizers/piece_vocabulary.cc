#include "models/tokenizers/piece_vocabulary.h"

#include <utility>

#include "base/utf8.h"
#include "models/tokenizers/vocabulary.h"

namespace quantd {
namespace {

bool IsSought(PieceType type) {
  return type == PieceType::kNormal || type == PieceType::kUserDefined ||
         type == PieceType::kUnused;
}

template <typename Map>
std::optional<int32_t> FindIn(const Map& map, absl::string_view text) {
  const auto id = map.find(text);
  if (id == map.end()) return std::nullopt;
  return id->second;
}

}  // namespace

PieceVocabulary::PieceVocabulary(const SentencePieceModel& model)
    : model_(model) {
  byte_ids_.fill(model.unknown_id);
  sought_.reserve(model.pieces.size());
  std::vector<ByteTrie::Key> symbols;
  for (int32_t id = 0; id < size(); ++id) {
    const SentencePiece& entry = piece(id);
    (IsSought(entry.type) ? sought_ : reserved_).emplace(entry.text, id);
    if (entry.type == PieceType::kUserDefined) {
      symbols.emplace_back(entry.text, id);
    }
    if (entry.type == PieceType::kByte) {
      byte_ids_[ByteTokens::ByteOf(entry.text).value_or(0)] = id;
    }
  }
  user_defined_ = ByteTrie(std::move(symbols));
}

std::optional<int32_t> PieceVocabulary::Find(absl::string_view text) const {
  if (const auto id = FindIn(reserved_, text)) return id;
  return FindSought(text);
}

std::optional<int32_t> PieceVocabulary::FindSought(
    absl::string_view text) const {
  return FindIn(sought_, text);
}

size_t PieceVocabulary::FirstPiece(absl::string_view text, size_t pos) const {
  size_t length = user_defined_.Longest(text, pos).length;
  if (length == 0) DecodeUtf8(text, pos, &length);
  return length;
}

void PieceVocabulary::Writer::Add(absl::string_view text, int32_t id) {
  const bool unknown = id == vocabulary_.model_.unknown_id;
  if (unknown && vocabulary_.model_.byte_fallback) {
    for (const char c : text) {
      ids_.push_back(vocabulary_.byte_ids_[static_cast<uint8_t>(c)]);
    }
  } else if (!unknown || !after_unknown_) {
    ids_.push_back(id);
  }
  after_unknown_ = unknown;
}

}  // namespace quantd
