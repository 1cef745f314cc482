#include "models/tokenizers/decoder_step.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "models/tokenizers/byte_level.h"
#include "models/tokenizers/metaspace.h"
#include "models/tokenizers/replacement.h"
#include "models/tokenizers/vocabulary.h"

namespace quantd {
namespace {

constexpr absl::string_view kReplacementCharacter = "\xEF\xBF\xBD";
constexpr size_t kMaxDecodedBytes = size_t{1} << 30;

class ByteLevelDecoder final : public DecoderStep {
 public:
  absl::Status Apply(DecodedPieces* pieces) const override {
    std::string bytes;
    for (const DecodedPiece& piece : *pieces) {
      std::optional<std::string> spelled;
      if (!piece.is_added) spelled = BytesOfByteLevelToken(piece.text);
      bytes += spelled ? *spelled : piece.text;
    }
    if (!IsValidUtf8(bytes)) bytes = ReplaceInvalidUtf8(bytes);
    pieces->assign(1, DecodedPiece{std::move(bytes)});
    return absl::OkStatus();
  }
};

class ByteFallbackDecoder final : public DecoderStep {
 public:
  absl::Status Apply(DecodedPieces* pieces) const override {
    DecodedPieces result;
    result.reserve(pieces->size());
    std::string bytes;  // of the run of byte tokens just read
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (IsValidUtf8(bytes)) {
        result.push_back({std::move(bytes)});
      } else {
        result.insert(result.end(), bytes.size(),
                      {std::string(kReplacementCharacter)});
      }
      bytes.clear();
    };
    for (DecodedPiece& piece : *pieces) {
      if (const std::optional<uint8_t> byte = ByteTokens::ByteOf(piece.text)) {
        bytes.push_back(static_cast<char>(*byte));
        continue;
      }
      flush();
      result.push_back(std::move(piece));
    }
    flush();
    *pieces = std::move(result);
    return absl::OkStatus();
  }
};

class FuseDecoder final : public DecoderStep {
 public:
  absl::Status Apply(DecodedPieces* pieces) const override {
    std::string text;
    for (const DecodedPiece& piece : *pieces) text += piece.text;
    pieces->assign(1, DecodedPiece{std::move(text)});
    return absl::OkStatus();
  }
};

class ReplaceDecoder final : public DecoderStep {
 public:
  explicit ReplaceDecoder(Replacement replacement)
      : replacement_(std::move(replacement)) {}

  absl::Status Apply(DecodedPieces* pieces) const override {
    size_t total = 0;
    for (DecodedPiece& piece : *pieces) {
      std::string replaced;
      RETURN_IF_ERROR(replacement_.Append(piece.text, &replaced));
      piece.text = std::move(replaced);
      total += piece.text.size();
      if (total > kMaxDecodedBytes) {
        return absl::ResourceExhaustedError(absl::StrCat(
            "decoding makes more than ", kMaxDecodedBytes, " bytes of text"));
      }
    }
    return absl::OkStatus();
  }

 private:
  const Replacement replacement_;
};

class StripDecoder final : public DecoderStep {
 public:
  StripDecoder(std::string character, int64_t start, int64_t stop)
      : character_(std::move(character)), start_(start), stop_(stop) {}

  absl::Status Apply(DecodedPieces* pieces) const override {
    for (DecodedPiece& piece : *pieces) {
      absl::string_view text = piece.text;
      for (int64_t i = 0; i < start_; ++i) {
        if (!absl::StartsWith(text, character_)) break;
        text.remove_prefix(character_.size());
      }
      for (int64_t i = 0; i < stop_; ++i) {
        if (!absl::EndsWith(text, character_)) break;
        text.remove_suffix(character_.size());
      }
      piece.text = std::string(text);
    }
    return absl::OkStatus();
  }

 private:
  const std::string character_;
  const int64_t start_;
  const int64_t stop_;
};

class MetaspaceDecoder final : public DecoderStep {
 public:
  explicit MetaspaceDecoder(Metaspace options) : options_(std::move(options)) {}

  absl::Status Apply(DecodedPieces* pieces) const override {
    const bool prepends = options_.prepend != Metaspace::Prepend::kNever;
    for (size_t i = 0; i < pieces->size(); ++i) {
      std::string& text = (*pieces)[i].text;
      // The reference removes every mark of the first token, not just one.
      text = absl::StrReplaceAll(
          text, {{options_.replacement, i == 0 && prepends ? "" : " "}});
    }
    return absl::OkStatus();
  }

 private:
  const Metaspace options_;
};

// Undoes the spaces that English splitting puts before signs.
std::string CleanUp(std::string text) {
  constexpr std::pair<absl::string_view, absl::string_view> kRules[] = {
      {" .", "."},   {" ?", "?"},     {" !", "!"},     {" ,", ","},
      {" ' ", "'"},  {" n't", "n't"}, {" 'm", "'m"},   {" do not", " don't"},
      {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
  };
  for (const auto& [from, to] : kRules) {
    text = absl::StrReplaceAll(text, {{from, to}});
  }
  return text;
}

class WordPieceDecoder final : public DecoderStep {
 public:
  WordPieceDecoder(std::string prefix, bool clean_up)
      : prefix_(std::move(prefix)), clean_up_(clean_up) {}

  absl::Status Apply(DecodedPieces* pieces) const override {
    for (size_t i = 0; i < pieces->size(); ++i) {
      std::string& text = (*pieces)[i].text;
      if (i > 0) {
        if (absl::StartsWith(text, prefix_)) {
          text.erase(0, prefix_.size());
        } else {
          text.insert(0, 1, ' ');
        }
      }
      if (clean_up_) text = CleanUp(std::move(text));
    }
    return absl::OkStatus();
  }

 private:
  const std::string prefix_;
  const bool clean_up_;
};

class SuffixDecoder final : public DecoderStep {
 public:
  explicit SuffixDecoder(std::string suffix) : suffix_(std::move(suffix)) {}

  absl::Status Apply(DecodedPieces* pieces) const override {
    for (size_t i = 0; i < pieces->size(); ++i) {
      std::string& text = (*pieces)[i].text;
      text = absl::StrReplaceAll(
          text, {{suffix_, i + 1 == pieces->size() ? "" : " "}});
    }
    return absl::OkStatus();
  }

 private:
  const std::string suffix_;
};

class CtcDecoder final : public DecoderStep {
 public:
  CtcDecoder(std::string pad, std::string delimiter, bool clean_up)
      : pad_(std::move(pad)),
        delimiter_(std::move(delimiter)),
        clean_up_(clean_up) {}

  absl::Status Apply(DecodedPieces* pieces) const override {
    const auto same = [](const DecodedPiece& a, const DecodedPiece& b) {
      return a.text == b.text;
    };
    pieces->erase(std::unique(pieces->begin(), pieces->end(), same),
                  pieces->end());
    for (DecodedPiece& piece : *pieces) {
      piece.text = absl::StrReplaceAll(piece.text, {{pad_, ""}});
      if (clean_up_) {
        piece.text = absl::StrReplaceAll(CleanUp(std::move(piece.text)),
                                         {{delimiter_, " "}});
      }
    }
    return absl::OkStatus();
  }

 private:
  const std::string pad_;
  const std::string delimiter_;
  const bool clean_up_;
};

}  // namespace

NewDecoderStep NewByteLevelDecoder(const JsonReader& /*member*/) {
  return std::make_unique<ByteLevelDecoder>();
}

NewDecoderStep NewByteFallbackDecoder(const JsonReader& /*member*/) {
  return std::make_unique<ByteFallbackDecoder>();
}

NewDecoderStep NewFuseDecoder(const JsonReader& /*member*/) {
  return std::make_unique<FuseDecoder>();
}

NewDecoderStep NewReplaceDecoder(const JsonReader& member) {
  ASSIGN_OR_RETURN(Replacement replacement, Replacement::Create(member));
  return std::make_unique<ReplaceDecoder>(std::move(replacement));
}

NewDecoderStep NewStripDecoder(const JsonReader& member) {
  constexpr int64_t kMax = int64_t{1} << 30;
  ASSIGN_OR_RETURN(std::string character, member.GetString("content"));
  size_t length = 0;
  if (!character.empty()) DecodeUtf8(character, 0, &length);
  if (length == 0 || length != character.size()) {
    return member.Fault("content", "expected one character");
  }
  ASSIGN_OR_RETURN(const int64_t start, member.GetIntOr("start", 0, 0, kMax));
  ASSIGN_OR_RETURN(const int64_t stop, member.GetIntOr("stop", 0, 0, kMax));
  return std::make_unique<StripDecoder>(std::move(character), start, stop);
}

NewDecoderStep NewMetaspaceDecoder(const JsonReader& member) {
  ASSIGN_OR_RETURN(Metaspace options, ReadMetaspace(member));
  return std::make_unique<MetaspaceDecoder>(std::move(options));
}

NewDecoderStep NewWordPieceDecoder(const JsonReader& member) {
  ASSIGN_OR_RETURN(std::string prefix, member.GetStringOr("prefix", "##"));
  ASSIGN_OR_RETURN(const bool clean_up, member.GetBoolOr("cleanup", true));
  return std::make_unique<WordPieceDecoder>(std::move(prefix), clean_up);
}

NewDecoderStep NewSuffixDecoder(const JsonReader& member) {
  ASSIGN_OR_RETURN(std::string suffix, member.GetStringOr("suffix", "</w>"));
  if (suffix.empty()) return member.Fault("suffix", "empty");
  return std::make_unique<SuffixDecoder>(std::move(suffix));
}

NewDecoderStep NewCtcDecoder(const JsonReader& member) {
  ASSIGN_OR_RETURN(std::string pad, member.GetStringOr("pad_token", "<pad>"));
  ASSIGN_OR_RETURN(std::string delimiter,
                   member.GetStringOr("word_delimiter_token", "|"));
  if (pad.empty()) return member.Fault("pad_token", "empty");
  if (delimiter.empty()) return member.Fault("word_delimiter_token", "empty");
  ASSIGN_OR_RETURN(const bool clean_up, member.GetBoolOr("cleanup", true));
  return std::make_unique<CtcDecoder>(std::move(pad), std::move(delimiter),
                                      clean_up);
}

}  // namespace quantd
