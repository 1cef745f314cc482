// What becomes of the matches when a text is cut at a pattern.
//
// For "the-final--countdown" and the pattern "-":
//
//   Isolated            the - final - - countdown
//   Removed             the final countdown
//   MergedWithPrevious  the- final- - countdown
//   MergedWithNext      the -final - -countdown
//   Contiguous          the - final -- countdown
#ifndef QUANTD_MODELS_TOKENIZERS_SPLIT_BEHAVIOR_H_
#define QUANTD_MODELS_TOKENIZERS_SPLIT_BEHAVIOR_H_

#include <cstddef>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "models/json_text.h"

namespace quantd {

enum class SplitBehavior {
  kIsolated,            // each match is a part
  kRemoved,             // dropped
  kMergedWithPrevious,  // joined to the part before it
  kMergedWithNext,      // joined to the part behind it
  kContiguous,          // neighbouring matches are one part
};

// The member "behavior". InvalidArgument when it is missing or unknown.
absl::StatusOr<SplitBehavior> ReadSplitBehavior(const JsonReader& member);

// Turns the alternation of matches and gaps into parts, holding back the one
// part that may still grow. Confined to one thread.
class PartJoiner {
 public:
  // `emit` receives begin and end of each part and must outlive this.
  PartJoiner(SplitBehavior behavior,
             absl::FunctionRef<absl::Status(size_t, size_t)> emit)
      : behavior_(behavior), emit_(emit) {}

  // The next match or gap; together they cover the text.
  absl::Status Add(size_t begin, size_t end, bool is_match) {
    const bool previous = std::exchange(previous_, is_match);
    bool extend = false;
    switch (behavior_) {
      case SplitBehavior::kIsolated:
        return emit_(begin, end);
      case SplitBehavior::kRemoved:
        return is_match ? absl::OkStatus() : emit_(begin, end);
      case SplitBehavior::kMergedWithPrevious:
        extend = is_match && !previous;
        break;
      case SplitBehavior::kMergedWithNext:
        extend = !is_match && previous;
        break;
      case SplitBehavior::kContiguous:
        extend = is_match == previous;
        break;
    }
    if (has_pending_ && extend) {
      pending_end_ = end;
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(Flush());
    has_pending_ = true;
    pending_begin_ = begin;
    pending_end_ = end;
    return absl::OkStatus();
  }

  // To be called after the last Add().
  absl::Status Flush() {
    if (!std::exchange(has_pending_, false)) return absl::OkStatus();
    return emit_(pending_begin_, pending_end_);
  }

 private:
  const SplitBehavior behavior_;
  const absl::FunctionRef<absl::Status(size_t, size_t)> emit_;
  bool previous_ = false;
  bool has_pending_ = false;
  size_t pending_begin_ = 0;
  size_t pending_end_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_SPLIT_BEHAVIOR_H_
