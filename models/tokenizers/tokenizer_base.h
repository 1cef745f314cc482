// What every Tokenizer of this folder has beside its algorithm: the sequence
// markers, which come from several files, and the digest.
#ifndef QUANTD_MODELS_TOKENIZERS_TOKENIZER_BASE_H_
#define QUANTD_MODELS_TOKENIZERS_TOKENIZER_BASE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/tokenizer.h"
#include "models/tokenizers/post_processor.h"

namespace quantd {

// The longest text that is encoded: positions are 32-bit inside.
inline constexpr size_t kMaxTextBytes = size_t{1} << 30;

// OK for text that may be encoded: valid UTF-8, at most kMaxTextBytes.
absl::Status CheckText(absl::string_view text);

class TokenizerBase : public Tokenizer {
 public:
  // Ids of the sequence markers.
  struct Markers {
    std::optional<int32_t> bos_id;
    std::optional<int32_t> eos_id;
    std::optional<int32_t> leading_id;
    SpecialTokens special;  // around every text
  };

  // To be called once, before the tokenizer is shared.
  void set_markers(Markers markers) { markers_ = std::move(markers); }

  // The id of a token by its content.
  virtual std::optional<int32_t> IdOf(absl::string_view token) const = 0;
  virtual bool HasId(int32_t id) const = 0;

  absl::StatusOr<std::vector<int32_t>> EncodeWithSpecialTokens(
      absl::string_view text) const final;
  std::optional<int32_t> bos_id() const final { return markers_.bos_id; }
  std::optional<int32_t> eos_id() const final { return markers_.eos_id; }
  std::optional<int32_t> leading_id() const final {
    return markers_.leading_id;
  }
  const std::string& digest() const final { return digest_; }

 protected:
  explicit TokenizerBase(std::string digest) : digest_(std::move(digest)) {}

  // OutOfRange for an id that HasId() denies.
  absl::Status UnknownId(int32_t id) const;

 private:
  const std::string digest_;
  Markers markers_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_TOKENIZER_BASE_H_
