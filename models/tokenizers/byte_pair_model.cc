// Byte pair encoding over bytes, as GPT-2 and its many descendants have it.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/tokenizers/added_tokens.h"
#include "models/tokenizers/byte_level.h"
#include "models/tokenizers/byte_pair_merger.h"
#include "models/tokenizers/token_model.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

using nlohmann::json;

constexpr int32_t kNoToken = -1;
// Words up to this long are merged on the stack.
constexpr size_t kShortWord = BytePairMerger::kScanLimit;

class BytePairModel final : public TokenModel {
 public:
  static absl::StatusOr<std::unique_ptr<const TokenModel>> Create(
      const JsonReader& reader) {
    std::unique_ptr<BytePairModel> model(new BytePairModel);
    RETURN_IF_ERROR(RefuseOtherForms(reader));
    RETURN_IF_ERROR(model->ReadVocabulary(reader));
    RETURN_IF_ERROR(model->ReadMerges(reader));
    RETURN_IF_ERROR(model->ReadUnknownPolicy(reader));
    ASSIGN_OR_RETURN(model->ignore_merges_,
                     reader.GetBoolOr("ignore_merges", false));
    return model;
  }

  void AppendIds(absl::string_view word,
                 std::vector<int32_t>* ids) const override {
    if (ignore_merges_) {
      if (const auto whole = id_of_bytes_.find(word);
          whole != id_of_bytes_.end()) {
        ids->push_back(whole->second);
        return;
      }
    }
    if (word.size() <= kShortWord) {
      std::array<int32_t, kShortWord> symbols;
      const absl::Span<int32_t> used(symbols.data(),
                                     FillSymbols(word, symbols.data()));
      const size_t count = merger_.Run(used);
      ids->insert(ids->end(), symbols.begin(), symbols.begin() + count);
      return;
    }
    const size_t begin = ids->size();
    ids->resize(begin + word.size());
    const absl::Span<int32_t> used(ids->data() + begin,
                                   FillSymbols(word, ids->data() + begin));
    ids->resize(begin + merger_.Run(used));
  }

  std::optional<absl::string_view> TextOf(int32_t id) const override {
    const auto text = text_of_.find(id);
    if (text == text_of_.end()) return std::nullopt;
    return text->second;
  }

  std::optional<int32_t> IdOf(absl::string_view token) const override {
    const auto bytes = BytesOfByteLevelToken(token);
    const auto& ids = bytes ? id_of_bytes_ : id_of_other_;
    const auto id =
        bytes ? ids.find(absl::string_view(*bytes)) : ids.find(token);
    if (id == ids.end()) return std::nullopt;
    return id->second;
  }

  int32_t max_id() const override { return max_id_; }

 private:
  using IdMap = absl::flat_hash_map<std::string, int32_t>;

  BytePairModel() { byte_ids_.fill(kNoToken); }

  static absl::Status RefuseOtherForms(const JsonReader& reader) {
    for (const absl::string_view affix :
         {"continuing_subword_prefix", "end_of_word_suffix"}) {
      ASSIGN_OR_RETURN(const std::string text, reader.GetStringOr(affix, ""));
      if (!text.empty()) return reader.Unsupported(affix, Quoted(text));
    }
    ASSIGN_OR_RETURN(const bool byte_fallback,
                     reader.GetBoolOr("byte_fallback", false));
    if (byte_fallback) return reader.Unsupported("byte_fallback", "true");
    ASSIGN_OR_RETURN(const double dropout,
                     reader.GetDoubleOr("dropout", 0.0, 0.0, 1.0));
    if (dropout != 0.0) {
      return reader.Unsupported("dropout", "random encoding");
    }
    return absl::OkStatus();
  }

  absl::Status ReadVocabulary(const JsonReader& reader) {
    ASSIGN_OR_RETURN(const JsonReader vocabulary, reader.GetObject("vocab"));
    const auto& entries = vocabulary.value().get_ref<const json::object_t&>();
    if (entries.empty()) return reader.Fault("vocab", "empty");
    text_of_.reserve(entries.size());
    id_of_bytes_.reserve(entries.size());
    for (const auto& [token, value] : entries) {
      if (!value.is_number_unsigned() ||
          value.get<uint64_t>() > static_cast<uint64_t>(kMaxTokenId)) {
        return vocabulary.Fault(
            Quoted(token), absl::StrCat("expected an id in [0, ", kMaxTokenId,
                                        "], got ", DescribeJson(value)));
      }
      const auto id = value.get<int32_t>();
      std::optional<std::string> bytes = BytesOfByteLevelToken(token);
      const auto [place, is_new] =
          text_of_.try_emplace(id, bytes ? *bytes : token);
      if (!is_new) {
        return vocabulary.Fault(
            Quoted(token),
            absl::StrCat("id ", id, " belongs to another token too"));
      }
      max_id_ = std::max(max_id_, id);
      if (!bytes) {
        id_of_other_.emplace(token, id);
        continue;
      }
      if (bytes->size() == 1) {
        byte_ids_[static_cast<uint8_t>((*bytes)[0])] = id;
      }
      id_of_bytes_.emplace(*std::move(bytes), id);
    }
    return absl::OkStatus();
  }

  // "a b", or ["a", "b"] in files written since pieces may hold a space.
  static bool SplitMerge(const json& entry, absl::string_view* left,
                         absl::string_view* right) {
    if (entry.is_array()) {
      if (entry.size() != 2 || !entry[0].is_string() || !entry[1].is_string()) {
        return false;
      }
      *left = entry[0].get_ref<const std::string&>();
      *right = entry[1].get_ref<const std::string&>();
    } else if (entry.is_string()) {
      const absl::string_view text = entry.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space == absl::string_view::npos) return false;
      *left = text.substr(0, space);
      *right = text.substr(space + 1);
      if (right->find(' ') != absl::string_view::npos) return false;
    } else {
      return false;
    }
    return !left->empty() && !right->empty();
  }

  absl::Status ReadMerges(const JsonReader& reader) {
    ASSIGN_OR_RETURN(const json* merges, reader.GetArray("merges"));
    merger_.Reserve(merges->size());
    for (size_t i = 0; i < merges->size(); ++i) {
      const json& entry = (*merges)[i];
      const auto fault = [&](const auto&... parts) {
        return reader.Fault(absl::StrCat("merges[", i, "]"),
                            absl::StrCat(parts...));
      };
      absl::string_view left;
      absl::string_view right;
      if (!SplitMerge(entry, &left, &right)) {
        return fault("expected two tokens, got ", DescribeJson(entry));
      }
      int32_t ids[3];
      const std::string tokens[3] = {std::string(left), std::string(right),
                                     absl::StrCat(left, right)};
      for (int k = 0; k < 3; ++k) {
        const std::optional<int32_t> id = IdOf(tokens[k]);
        if (!id) {
          return fault(k == 2 ? "its result " : "", Quoted(tokens[k]),
                       " is not in the vocabulary");
        }
        ids[k] = *id;
      }
      merger_.AddMerge(ids[0], ids[1], static_cast<int32_t>(i), ids[2]);
    }
    return absl::OkStatus();
  }

  absl::Status ReadUnknownPolicy(const JsonReader& reader) {
    ASSIGN_OR_RETURN(fuse_unknown_, reader.GetBoolOr("fuse_unk", false));
    ASSIGN_OR_RETURN(const std::string token,
                     reader.GetStringOr("unk_token", ""));
    if (!token.empty()) {
      const std::optional<int32_t> id = IdOf(token);
      if (!id) {
        return reader.Fault("unk_token", absl::StrCat(Quoted(token),
                                                      " is not in the "
                                                      "vocabulary"));
      }
      unknown_id_ = *id;
      return absl::OkStatus();
    }
    // Without a token for it a byte would vanish from the text.
    for (int byte = 0; byte < 256; ++byte) {
      if (byte_ids_[static_cast<size_t>(byte)] == kNoToken &&
          OccursInUtf8(static_cast<uint8_t>(byte))) {
        return reader.Fault(
            "vocab",
            absl::StrCat("no token for byte 0x",
                         absl::Hex(byte, absl::kZeroPad2), " (",
                         Quoted(ByteLevelSymbol(static_cast<uint8_t>(byte))),
                         ") and no unk_token"));
      }
    }
    return absl::OkStatus();
  }

  // One symbol per byte; returns how many (fewer when unknown ones fuse).
  size_t FillSymbols(absl::string_view word, int32_t* symbols) const {
    size_t count = 0;
    bool after_unknown = false;
    for (const char c : word) {
      const int32_t id = byte_ids_[static_cast<uint8_t>(c)];
      const bool unknown = id == kNoToken;
      if (!(unknown && after_unknown && fuse_unknown_)) {
        symbols[count++] = unknown ? unknown_id_ : id;
      }
      after_unknown = unknown;
    }
    return count;
  }

  BytePairMerger merger_;
  std::array<int32_t, 256> byte_ids_;
  int32_t unknown_id_ = kNoToken;
  bool fuse_unknown_ = false;
  bool ignore_merges_ = false;
  absl::flat_hash_map<int32_t, std::string> text_of_;
  IdMap id_of_bytes_;
  // Tokens with characters outside of the alphabet: never the result of
  // merging, but they have ids.
  IdMap id_of_other_;
  int32_t max_id_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const TokenModel>> NewBytePairModel(
    const TokenModelSource& source) {
  return BytePairModel::Create(source.model);
}

}  // namespace quantd
