// One id a word.
#include <optional>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "models/tokenizers/token_model.h"
#include "models/tokenizers/vocabulary.h"

namespace quantd {
namespace {

class WordLevelModel final : public TokenModel {
 public:
  WordLevelModel(Vocabulary vocabulary, int32_t unknown_id)
      : vocabulary_(std::move(vocabulary)), unknown_id_(unknown_id) {}

  void AppendIds(absl::string_view word,
                 std::vector<int32_t>* ids) const override {
    ids->push_back(vocabulary_.IdOf(word).value_or(unknown_id_));
  }

  std::optional<absl::string_view> TokenOf(int32_t id) const override {
    return vocabulary_.TokenOf(id);
  }
  std::optional<int32_t> IdOf(absl::string_view token) const override {
    return vocabulary_.IdOf(token);
  }
  int32_t max_id() const override { return vocabulary_.max_id(); }

 private:
  const Vocabulary vocabulary_;
  const int32_t unknown_id_;
};

}  // namespace

TokenModelOr NewWordLevelModel(const JsonReader& model) {
  ASSIGN_OR_RETURN(Vocabulary vocabulary, Vocabulary::FromJson(model));
  ASSIGN_OR_RETURN(const std::optional<int32_t> unknown,
                   vocabulary.ReadToken(model, "unk_token"));
  if (!unknown) {
    return model.Fault("unk_token", "missing: unknown words need a token");
  }
  return std::make_unique<WordLevelModel>(std::move(vocabulary), *unknown);
}

}  // namespace quantd
