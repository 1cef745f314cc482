#include "models/tokenizers/token_model.h"

#include "base/status_macros.h"

namespace quantd {
namespace {

// One file can mean several families: "BPE" works on bytes or, as converted
// SentencePiece models do, on characters.
struct Family {
  absl::string_view type;
  bool byte_level;
  absl::StatusOr<std::unique_ptr<const TokenModel>> (*create)(
      const TokenModelSource& source);
};

constexpr Family kFamilies[] = {
    {"BPE", true, NewBytePairModel},
};

// Files from before "type" was written hold byte pairs if they hold merges.
absl::StatusOr<std::string> TypeOf(const JsonReader& model) {
  if (!model.Has("type") && model.Has("merges")) return "BPE";
  return model.GetString("type");
}

}  // namespace

absl::StatusOr<std::unique_ptr<const TokenModel>> NewTokenModel(
    const JsonReader& file, bool byte_level) {
  ASSIGN_OR_RETURN(const JsonReader model, file.GetObject("model"));
  ASSIGN_OR_RETURN(const std::string type, TypeOf(model));
  bool known_type = false;
  for (const Family& family : kFamilies) {
    if (family.type != type) continue;
    known_type = true;
    if (family.byte_level == byte_level) {
      return family.create(TokenModelSource{model, byte_level});
    }
  }
  if (known_type) {
    return model.Unsupported(
        "type", absl::StrCat(Quoted(type), byte_level ? " with" : " without",
                             " a ByteLevel pre-tokenizer"));
  }
  return model.Unsupported("type", Quoted(type));
}

}  // namespace quantd
