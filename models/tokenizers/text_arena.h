// Strings that live until the arena goes, in few allocations and up to a limit.
//
// Confined to one thread.
#ifndef QUANTD_MODELS_TOKENIZERS_TEXT_ARENA_H_
#define QUANTD_MODELS_TOKENIZERS_TEXT_ARENA_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace quantd {

class TextArena {
 public:
  // A copy of `text`. ResourceExhausted when all copies together would be
  // larger than 4 GiB: a file may ask for many steps that copy a large text.
  absl::StatusOr<absl::string_view> Copy(absl::string_view text) {
    if (text.empty()) return absl::string_view();
    if (total_ + text.size() > kMaxBytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "splitting the text takes more than ", kMaxBytes, " bytes"));
    }
    total_ += text.size();
    if (text.size() > free_) {
      free_ = std::max(text.size(), kBlockBytes);
      blocks_.push_back(std::make_unique<char[]>(free_));
      next_ = blocks_.back().get();
    }
    char* const begin = next_;
    std::memcpy(begin, text.data(), text.size());
    next_ += text.size();
    free_ -= text.size();
    return absl::string_view(begin, text.size());
  }

 private:
  static constexpr size_t kBlockBytes = size_t{64} << 10;
  static constexpr size_t kMaxBytes = size_t{4} << 30;

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  size_t free_ = 0;
  size_t total_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_TEXT_ARENA_H_
