// The unigram language model as tokenizer.json holds it.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/json_text.h"
#include "models/tokenizers/byte_trie.h"
#include "models/tokenizers/token_model.h"
#include "models/tokenizers/unigram_path.h"
#include "models/tokenizers/vocabulary.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

using nlohmann::json;

class UnigramModel final : public TokenModel {
 public:
  static TokenModelOr Create(const JsonReader& reader) {
    Vocabulary vocabulary;
    std::vector<double> scores;
    RETURN_IF_ERROR(ReadPieces(reader, &vocabulary, &scores));
    if (!reader.Has("unk_id")) {
      return reader.Fault("unk_id", "missing: unknown characters need a token");
    }
    ASSIGN_OR_RETURN(
        const int64_t unknown_id,
        reader.GetInt("unk_id", 0, static_cast<int64_t>(scores.size()) - 1));
    ASSIGN_OR_RETURN(const bool byte_fallback,
                     reader.GetBoolOr("byte_fallback", false));
    return std::unique_ptr<const TokenModel>(
        new UnigramModel(std::move(vocabulary), std::move(scores),
                         static_cast<int32_t>(unknown_id), byte_fallback));
  }

  void AppendIds(absl::string_view word,
                 std::vector<int32_t>* ids) const override {
    size_t unknown_begin = 0;
    size_t unknown_end = 0;
    const auto flush = [&] {
      if (unknown_end > unknown_begin) {
        AppendUnknown(word.substr(unknown_begin, unknown_end - unknown_begin),
                      ids);
      }
    };
    VisitBestPath<double>(
        trie_, word,
        [this](int32_t id, size_t) { return scores_[static_cast<size_t>(id)]; },
        unknown_score_, unknown_id_,
        [&](size_t /*begin*/, size_t end, int32_t id) {
          if (id == unknown_id_) {
            unknown_end = end;
            return;
          }
          flush();
          ids->push_back(id);
          unknown_begin = unknown_end = end;
        });
    flush();
  }

  std::optional<absl::string_view> TokenOf(int32_t id) const override {
    return vocabulary_.TokenOf(id);
  }
  std::optional<int32_t> IdOf(absl::string_view token) const override {
    return vocabulary_.IdOf(token);
  }
  int32_t max_id() const override { return vocabulary_.max_id(); }

 private:
  UnigramModel(Vocabulary vocabulary, std::vector<double> scores,
               int32_t unknown_id, bool byte_fallback)
      : vocabulary_(std::move(vocabulary)),
        scores_(std::move(scores)),
        unknown_id_(unknown_id) {
    std::vector<ByteTrie::Key> keys;
    keys.reserve(scores_.size());
    for (int32_t id = 0; id <= vocabulary_.max_id(); ++id) {
      keys.emplace_back(*vocabulary_.TokenOf(id), id);
    }
    trie_ = ByteTrie(std::move(keys));
    unknown_score_ =
        *std::min_element(scores_.begin(), scores_.end()) - kUnknownPenalty;
    if (byte_fallback) bytes_.emplace(vocabulary_);
  }

  static absl::Status ReadPieces(const JsonReader& reader,
                                 Vocabulary* vocabulary,
                                 std::vector<double>* scores) {
    ASSIGN_OR_RETURN(const json* entries, reader.GetArray("vocab"));
    if (entries->empty()) return reader.Fault("vocab", "empty");
    if (entries->size() > static_cast<size_t>(kMaxTokenId)) {
      return reader.Fault("vocab", absl::StrCat(entries->size(), " pieces"));
    }
    vocabulary->Reserve(entries->size());
    scores->reserve(entries->size());
    for (size_t i = 0; i < entries->size(); ++i) {
      const json& entry = (*entries)[i];
      if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() ||
          !entry[1].is_number()) {
        return reader.Fault(absl::StrCat("vocab[", i, "]"),
                            absl::StrCat("expected a piece and its score, got ",
                                         DescribeJson(entry)));
      }
      vocabulary->Add(entry[0].get_ref<const std::string&>(),
                      static_cast<int32_t>(i));
      scores->push_back(entry[1].get<double>());
    }
    return absl::OkStatus();
  }

  // Neighbouring unknown characters are one token, unless they spell a token
  // together or can be written as bytes.
  void AppendUnknown(absl::string_view text, std::vector<int32_t>* ids) const {
    if (const std::optional<int32_t> id = vocabulary_.IdOf(text)) {
      ids->push_back(*id);
    } else if (!bytes_ || !bytes_->Append(text, ids)) {
      ids->push_back(unknown_id_);
    }
  }

  const Vocabulary vocabulary_;
  const std::vector<double> scores_;  // log-probabilities by id
  const int32_t unknown_id_;
  double unknown_score_ = 0;
  ByteTrie trie_;
  std::optional<ByteTokens> bytes_;  // with byte_fallback
};

}  // namespace

TokenModelOr NewUnigramModel(const JsonReader& model) {
  return UnigramModel::Create(model);
}

}  // namespace quantd
