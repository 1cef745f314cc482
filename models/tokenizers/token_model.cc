#include "models/tokenizers/token_model.h"

#include "base/status_macros.h"

namespace quantd {
namespace {

struct Family {
  absl::string_view type;
  WordForm form;
  TokenModelOr (*create)(const JsonReader& model);
  // A member that only this type has, by which older files, written without
  // "type", are known.
  absl::string_view own_member = "";
};

constexpr Family kFamilies[] = {
    {"BPE", WordForm::kBytes, NewBytePairModel, "merges"},
    {"BPE", WordForm::kText, NewCharacterPairModel, "merges"},
    {"Unigram", WordForm::kText, NewUnigramModel, "unk_id"},
    {"WordLevel", WordForm::kText, NewWordLevelModel},
    {"WordPiece", WordForm::kText, NewWordPieceModel,
     "continuing_subword_prefix"},
};

absl::StatusOr<std::string> TypeOf(const JsonReader& model) {
  if (!model.Has("type")) {
    for (const Family& family : kFamilies) {
      if (!family.own_member.empty() && model.Has(family.own_member)) {
        return std::string(family.type);
      }
    }
  }
  return model.GetString("type");
}

}  // namespace

TokenModelOr NewTokenModel(const JsonReader& file, WordForm form) {
  ASSIGN_OR_RETURN(const JsonReader model, file.GetObject("model"));
  ASSIGN_OR_RETURN(const std::string type, TypeOf(model));
  bool known_type = false;
  for (const Family& family : kFamilies) {
    if (family.type != type) continue;
    known_type = true;
    if (family.form == form) return family.create(model);
  }
  if (known_type) return nullptr;
  return model.Unsupported("type", Quoted(type));
}

}  // namespace quantd
