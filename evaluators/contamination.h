// How much of an evaluation text was in the calibration text: a perplexity
// measured on what the method was tuned on flatters it.
//
// N-grams of words, 13 as in GPT-3's analysis (Brown et al., arXiv:2005.14165,
// appendix C), or of tokens. Words are compared after what that analysis
// leaves out of account: lower case, punctuation (Unicode's, and the ASCII
// signs) taken out, white space only as what parts words; "Don't" is "dont", a
// dash between blanks is nothing.
//
// Only 64-bit hashes of the calibration text's n-grams are kept, about 16 bytes
// for each distinct one, whatever their length.
//
//   ASSIGN_OR_RETURN(CalibrationNgrams ngrams, CalibrationNgrams::Create({}));
//   RETURN_IF_ERROR(ngrams.AddText(calibration));
//   const WindowOverlap overlap = ngrams.OverlapOfText(window);
//
// Thread-compatible: const methods may run at once.
#ifndef QUANTD_EVALUATORS_CONTAMINATION_H_
#define QUANTD_EVALUATORS_CONTAMINATION_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace quantd {

struct ContaminationOptions {
  // Units of an n-gram, 1..1000.
  int n = 13;
  // Distinct n-grams of the calibration text that may be kept (1 GiB).
  uint64_t most_ngrams = uint64_t{1} << 26;
  // A window is contaminated when more than this share of its n-grams is in the
  // calibration text; 0: one is enough. At least 0, below 1.
  double tolerated_share = 0;
};

// N-grams of one evaluation window, and those that the calibration text has.
struct WindowOverlap {
  uint64_t ngrams = 0;
  uint64_t shared = 0;

  // 0 for a window of fewer than n units, of which nothing can be said.
  double share() const {
    return ngrams == 0
               ? 0
               : static_cast<double>(shared) / static_cast<double>(ngrams);
  }
};

struct ContaminationReport {
  uint64_t windows = 0;
  uint64_t contaminated = 0;
  // Windows of fewer than n units.
  uint64_t too_short = 0;
  // Over all windows' n-grams.
  double shared_share = 0;
};

class CalibrationNgrams {
 public:
  // InvalidArgument for options out of range (the option is named).
  static absl::StatusOr<CalibrationNgrams> Create(
      const ContaminationOptions& options);

  // Adds the n-grams of a text or of tokens; no n-gram reaches from one call to
  // the next. One object takes either texts or tokens. ResourceExhausted above
  // most_ngrams; the object is of no use then.
  absl::Status AddText(absl::string_view text);
  absl::Status AddTokens(absl::Span<const int32_t> tokens);

  WindowOverlap OverlapOfText(absl::string_view window) const;
  WindowOverlap OverlapOfTokens(absl::Span<const int32_t> window) const;

  bool IsContaminated(const WindowOverlap& window) const {
    return window.shared > 0 && window.share() > options_.tolerated_share;
  }
  ContaminationReport Report(absl::Span<const WindowOverlap> windows) const;

  // Distinct n-grams known.
  size_t size() const { return hashes_.size(); }

 private:
  explicit CalibrationNgrams(const ContaminationOptions& options)
      : options_(options) {}

  absl::Status Add(const std::vector<uint64_t>& units);
  WindowOverlap Overlap(const std::vector<uint64_t>& units) const;

  ContaminationOptions options_;
  absl::flat_hash_set<uint64_t> hashes_;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_CONTAMINATION_H_
