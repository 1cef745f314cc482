#include "models/tokenizers/token_decoder.h"

#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

constexpr size_t kMaxSteps = 64;
// A step can multiply the length; steps in a row could exceed any memory.
constexpr size_t kMaxDecodedBytes = size_t{1} << 30;

struct Row {
  absl::string_view type;
  NewDecoderStep (*create)(const JsonReader& member);
};

constexpr Row kSteps[] = {
    {"BPEDecoder", NewSuffixDecoder},
    {"ByteFallback", NewByteFallbackDecoder},
    {"ByteLevel", NewByteLevelDecoder},
    {"CTC", NewCtcDecoder},
    {"Fuse", NewFuseDecoder},
    {"Metaspace", NewMetaspaceDecoder},
    {"Replace", NewReplaceDecoder},
    {"Strip", NewStripDecoder},
    {"WordPiece", NewWordPieceDecoder},
};

using Steps = std::vector<std::unique_ptr<const DecoderStep>>;

absl::Status AddSteps(const JsonReader& member, Steps* steps) {
  ASSIGN_OR_RETURN(const std::string type, member.GetString("type"));
  if (type == "Sequence") {
    ASSIGN_OR_RETURN(const nlohmann::json* members,
                     member.GetArray("decoders"));
    for (size_t i = 0; i < members->size(); ++i) {
      ASSIGN_OR_RETURN(
          const JsonReader next,
          JsonReader::Of((*members)[i], member.origin(),
                         absl::StrCat(member.PathOf("decoders"), "[", i, "]")));
      RETURN_IF_ERROR(AddSteps(next, steps));
    }
    return absl::OkStatus();
  }
  for (const Row& row : kSteps) {
    if (row.type != type) continue;
    if (steps->size() == kMaxSteps) {
      return member.Fault("type",
                          absl::StrCat("more than ", kMaxSteps, " steps"));
    }
    ASSIGN_OR_RETURN(std::unique_ptr<const DecoderStep> step,
                     row.create(member));
    steps->push_back(std::move(step));
    return absl::OkStatus();
  }
  return member.Unsupported("type", Quoted(type));
}

}  // namespace

absl::StatusOr<TokenDecoder> TokenDecoder::Create(const JsonReader& file,
                                                  WordForm form) {
  TokenDecoder decoder;
  ASSIGN_OR_RETURN(const std::optional<JsonReader> member,
                   file.FindObject("decoder"));
  if (member) {
    RETURN_IF_ERROR(AddSteps(*member, &decoder.steps_));
  } else if (form == WordForm::kBytes) {
    ASSIGN_OR_RETURN(std::unique_ptr<const DecoderStep> step,
                     NewByteLevelDecoder(file));
    decoder.steps_.push_back(std::move(step));
  } else {
    decoder.joins_by_spaces_ = true;
  }
  return decoder;
}

absl::StatusOr<std::string> TokenDecoder::Decode(
    std::vector<DecodedPiece> pieces) const {
  const auto total = [&pieces] {
    size_t bytes = 0;
    for (const DecodedPiece& piece : pieces) bytes += piece.text.size();
    return bytes;
  };
  for (const auto& step : steps_) {
    RETURN_IF_ERROR(step->Apply(&pieces));
    if (total() > kMaxDecodedBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("decoded text of ", total(), " bytes, the limit is ",
                       kMaxDecodedBytes));
    }
  }
  std::string text;
  text.reserve(total() + (joins_by_spaces_ ? pieces.size() : 0));
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (joins_by_spaces_ && i > 0) text.push_back(' ');
    text += pieces[i].text;
  }
  return text;
}

}  // namespace quantd
