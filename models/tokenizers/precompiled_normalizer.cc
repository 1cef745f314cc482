// The normalizer "Precompiled".
#include <utf8proc.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "models/tokenizers/normalizer_step.h"
#include "models/tokenizers/precompiled_charsmap.h"

namespace quantd {
namespace {

// Longer grapheme clusters are never sought as a whole.
constexpr size_t kMaxClusterBytes = 5;

bool IsAscii(char c) { return static_cast<uint8_t>(c) < 0x80; }

// End of the grapheme cluster that begins at `pos`.
size_t ClusterEnd(absl::string_view text, size_t pos) {
  utf8proc_int32_t state = 0;
  size_t length = 0;
  char32_t before = DecodeUtf8(text, pos, &length);
  size_t end = pos + length;
  while (end < text.size()) {
    const char32_t next = DecodeUtf8(text, end, &length);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(before),
                                         static_cast<utf8proc_int32_t>(next),
                                         &state)) {
      break;
    }
    end += length;
    before = next;
  }
  return end;
}

class PrecompiledStep final : public NormalizerStep {
 public:
  explicit PrecompiledStep(PrecompiledCharsmap charsmap)
      : charsmap_(std::move(charsmap)) {
    for (size_t c = 0; c < plain_.size(); ++c) {
      const char text = static_cast<char>(c);
      plain_[c] = !charsmap_.Shortest(absl::string_view(&text, 1));
    }
  }

  absl::Status Apply(absl::string_view text,
                     std::string* result) const override {
    result->reserve(result->size() + text.size());
    size_t pos = 0;
    while (pos < text.size()) {
      // An ASCII character before another one is a cluster by itself, but for
      // the line end of two characters, whose first one has a rule.
      const bool alone = IsAscii(text[pos]) && text[pos] != '\r' &&
                         (pos + 1 == text.size() || IsAscii(text[pos + 1]));
      if (alone && plain_[static_cast<uint8_t>(text[pos])]) {
        result->push_back(text[pos++]);
        continue;
      }
      const size_t end = alone ? pos + 1 : ClusterEnd(text, pos);
      AppendCluster(text.substr(pos, end - pos), result);
      pos = end;
    }
    return absl::OkStatus();
  }

  bool DropsStart(absl::string_view text) const override {
    std::string first;
    if (!text.empty())
      AppendCluster(text.substr(0, ClusterEnd(text, 0)), &first);
    return !text.empty() && first.empty();
  }

 private:
  void AppendCluster(absl::string_view cluster, std::string* result) const {
    // The whole cluster gives way to the rule of its shortest key: that is
    // how the library has it that published files were checked with.
    if (cluster.size() <= kMaxClusterBytes) {
      if (const auto rule = charsmap_.Shortest(cluster)) {
        absl::StrAppend(result, rule->replacement);
        return;
      }
    }
    size_t length = 0;
    for (size_t pos = 0; pos < cluster.size(); pos += length) {
      DecodeUtf8(cluster, pos, &length);
      const absl::string_view character = cluster.substr(pos, length);
      const auto rule = charsmap_.Shortest(character);
      absl::StrAppend(result, rule ? rule->replacement : character);
    }
  }

  const PrecompiledCharsmap charsmap_;
  std::array<bool, 128> plain_;  // ASCII without a rule
};

}  // namespace

NewNormalizerStep NewPrecompiledStep(const JsonReader& member) {
  ASSIGN_OR_RETURN(const std::string base64,
                   member.GetString("precompiled_charsmap"));
  std::string bytes;
  if (!absl::Base64Unescape(base64, &bytes)) {
    return member.Fault("precompiled_charsmap", "not base64");
  }
  auto charsmap = PrecompiledCharsmap::Parse(bytes);
  if (!charsmap.ok()) {
    return member.Fault("precompiled_charsmap", charsmap.status().message());
  }
  return std::make_unique<PrecompiledStep>(*std::move(charsmap));
}

}  // namespace quantd
