#include "models/tokenizers/vocabulary.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/tokenizers/byte_level.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

using nlohmann::json;

constexpr absl::string_view kHexDigits = "0123456789ABCDEF";

}  // namespace

absl::StatusOr<Vocabulary> Vocabulary::FromJson(const JsonReader& model) {
  ASSIGN_OR_RETURN(const JsonReader reader, model.GetObject("vocab"));
  const auto& entries = reader.value().get_ref<const json::object_t&>();
  if (entries.empty()) return model.Fault("vocab", "empty");
  Vocabulary vocabulary;
  vocabulary.Reserve(entries.size());
  for (const auto& [token, value] : entries) {
    if (!value.is_number_unsigned() ||
        value.get<uint64_t>() > static_cast<uint64_t>(kMaxTokenId)) {
      return reader.Fault(Quoted(token),
                          absl::StrCat("expected an id in [0, ", kMaxTokenId,
                                       "], got ", DescribeJson(value)));
    }
    const auto id = value.get<int32_t>();
    if (vocabulary.TokenOf(id)) {
      return reader.Fault(Quoted(token), absl::StrCat("id ", id,
                                                      " belongs to another "
                                                      "token too"));
    }
    vocabulary.Add(token, id);
  }
  return vocabulary;
}

void Vocabulary::Reserve(size_t tokens) {
  id_of_.reserve(tokens);
  token_of_.reserve(tokens);
}

void Vocabulary::Add(absl::string_view token, int32_t id) {
  id_of_[token] = id;
  token_of_.emplace(id, token);
  max_id_ = std::max(max_id_, id);
}

std::optional<int32_t> Vocabulary::IdOf(absl::string_view token) const {
  const auto id = id_of_.find(token);
  if (id == id_of_.end()) return std::nullopt;
  return id->second;
}

std::optional<absl::string_view> Vocabulary::TokenOf(int32_t id) const {
  const auto token = token_of_.find(id);
  if (token == token_of_.end()) return std::nullopt;
  return token->second;
}

absl::StatusOr<std::optional<int32_t>> Vocabulary::ReadToken(
    const JsonReader& reader, absl::string_view key) const {
  ASSIGN_OR_RETURN(const std::string token, reader.GetStringOr(key, ""));
  if (token.empty()) return std::optional<int32_t>();
  const std::optional<int32_t> id = IdOf(token);
  if (!id) {
    return reader.Fault(
        key, absl::StrCat(Quoted(token), " is not in the vocabulary"));
  }
  return id;
}

std::string ByteTokens::NameOf(uint8_t byte) {
  std::string name = "<0x__>";
  name[3] = kHexDigits[byte >> 4];
  name[4] = kHexDigits[byte & 15];
  return name;
}

std::optional<uint8_t> ByteTokens::ByteOf(absl::string_view token) {
  constexpr size_t kLength = 6;
  if (token.size() != kLength || !absl::StartsWith(token, "<0x") ||
      token[5] != '>') {
    return std::nullopt;
  }
  unsigned value = 0;
  for (const char digit : token.substr(3, 2)) {
    const size_t upper = kHexDigits.find(
        digit >= 'a' && digit <= 'f' ? static_cast<char>(digit - 32) : digit);
    if (upper == absl::string_view::npos) return std::nullopt;
    value = value << 4 | static_cast<unsigned>(upper);
  }
  return static_cast<uint8_t>(value);
}

ByteTokens::ByteTokens(const Vocabulary& vocabulary) {
  for (size_t byte = 0; byte < ids_.size(); ++byte) {
    ids_[byte] =
        vocabulary.IdOf(NameOf(static_cast<uint8_t>(byte))).value_or(-1);
  }
}

bool ByteTokens::complete() const {
  for (size_t byte = 0; byte < ids_.size(); ++byte) {
    if (ids_[byte] < 0 && OccursInUtf8(static_cast<uint8_t>(byte))) {
      return false;
    }
  }
  return true;
}

}  // namespace quantd
