// Byte pair encoding over bytes, as GPT-2 and its many descendants have it.
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/tokenizers/byte_level.h"
#include "models/tokenizers/byte_pair_file.h"
#include "models/tokenizers/byte_pair_merger.h"
#include "models/tokenizers/token_model.h"
#include "models/tokenizers/vocabulary.h"

namespace quantd {
namespace {

constexpr int32_t kNoToken = -1;
// Words up to this long are merged on the stack.
constexpr size_t kShortWord = BytePairMerger::kScanLimit;

class BytePairModel final : public TokenModel {
 public:
  static TokenModelOr Create(const JsonReader& reader) {
    RETURN_IF_ERROR(RefuseDropout(reader));
    std::unique_ptr<BytePairModel> model(new BytePairModel);
    ASSIGN_OR_RETURN(model->vocabulary_, Vocabulary::FromJson(reader));
    RETURN_IF_ERROR(ReadMerges(
        reader, model->vocabulary_, 0,
        [](absl::string_view, absl::string_view) {}, &model->merger_));
    RETURN_IF_ERROR(model->ReadBytes(reader));
    ASSIGN_OR_RETURN(const bool ignore_merges,
                     reader.GetBoolOr("ignore_merges", false));
    if (ignore_merges) model->FillWholeWords();
    return model;
  }

  void AppendIds(absl::string_view word,
                 std::vector<int32_t>* ids) const override {
    if (!whole_words_.empty()) {
      if (const auto whole = whole_words_.find(word);
          whole != whole_words_.end()) {
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

  std::optional<absl::string_view> TokenOf(int32_t id) const override {
    return vocabulary_.TokenOf(id);
  }
  std::optional<int32_t> IdOf(absl::string_view token) const override {
    return vocabulary_.IdOf(token);
  }
  int32_t max_id() const override { return vocabulary_.max_id(); }

 private:
  BytePairModel() { byte_ids_.fill(kNoToken); }

  absl::Status ReadBytes(const JsonReader& reader) {
    ASSIGN_OR_RETURN(fuse_unknown_, reader.GetBoolOr("fuse_unk", false));
    std::optional<uint8_t> missing;
    for (int i = 255; i >= 0; --i) {
      const auto byte = static_cast<uint8_t>(i);
      byte_ids_[byte] =
          vocabulary_.IdOf(ByteLevelSymbol(byte)).value_or(kNoToken);
      if (byte_ids_[byte] == kNoToken && OccursInUtf8(byte)) missing = byte;
    }
    ASSIGN_OR_RETURN(const std::optional<int32_t> unknown,
                     vocabulary_.ReadToken(reader, "unk_token"));
    unknown_id_ = unknown.value_or(kNoToken);
    if (!missing || unknown) return absl::OkStatus();
    // Without a token for it a byte would vanish from the text.
    return reader.Fault(
        "vocab",
        absl::StrCat("no token for byte 0x",
                     absl::Hex(*missing, absl::kZeroPad2), " (",
                     Quoted(ByteLevelSymbol(*missing)), ") and no unk_token"));
  }

  void FillWholeWords() {
    whole_words_.reserve(vocabulary_.size());
    for (int32_t id = 0; id <= vocabulary_.max_id(); ++id) {
      const std::optional<absl::string_view> token = vocabulary_.TokenOf(id);
      if (!token) continue;
      if (auto bytes = BytesOfByteLevelToken(*token)) {
        whole_words_.emplace(*std::move(bytes), id);
      }
    }
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

  Vocabulary vocabulary_;
  BytePairMerger merger_;
  std::array<int32_t, 256> byte_ids_;
  int32_t unknown_id_ = kNoToken;
  bool fuse_unknown_ = false;
  // With ignore_merges: words that are tokens are not merged at all.
  absl::flat_hash_map<std::string, int32_t> whole_words_;
};

}  // namespace

TokenModelOr NewBytePairModel(const JsonReader& model) {
  for (const absl::string_view affix :
       {"continuing_subword_prefix", "end_of_word_suffix"}) {
    ASSIGN_OR_RETURN(const std::string text, model.GetStringOr(affix, ""));
    if (!text.empty()) return nullptr;
  }
  ASSIGN_OR_RETURN(const bool byte_fallback,
                   model.GetBoolOr("byte_fallback", false));
  if (byte_fallback) return nullptr;
  return BytePairModel::Create(model);
}

}  // namespace quantd
