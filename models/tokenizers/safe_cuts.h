// Where a text can be cut before byte pair merging without changing the
// result: between two characters that no merge brings together. The parts that
// come of it are mostly words, which repeat, and merging is done by part.
//
// Immutable and thread-safe once filled.
#ifndef QUANTD_MODELS_TOKENIZERS_SAFE_CUTS_H_
#define QUANTD_MODELS_TOKENIZERS_SAFE_CUTS_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace quantd {

class SafeCuts {
 public:
  // Notes that a merge joins `left` and `right`. REQUIRES: not empty, valid
  // UTF-8.
  void AddMerge(absl::string_view left, absl::string_view right);
  // Notes a character of the vocabulary. Before others there is no cut, so
  // that a run of unknown ones stays together.
  void AddCharacter(char32_t known) { known_.insert(known); }
  // Runs of unknown characters need not stay together.
  void AllowUnknown() { allow_unknown_ = true; }

  // Calls `sink` with consecutive parts that cover `text`, cut before white
  // space and its marks where that is safe, and everywhere where that is safe
  // in parts that are still long. REQUIRES: valid UTF-8.
  void VisitParts(absl::string_view text,
                  absl::FunctionRef<void(absl::string_view)> sink) const;

 private:
  bool IsSafe(absl::string_view text, size_t pos) const;
  void VisitLongPart(absl::string_view part,
                     absl::FunctionRef<void(absl::string_view)> sink) const;

  absl::flat_hash_set<uint64_t> joined_;  // left character << 32 | right one
  absl::flat_hash_set<char32_t> known_;
  bool allow_unknown_ = false;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_SAFE_CUTS_H_
