// Bits moved between the units of a compressed model so that their mean stays
// or meets a budget, from the KL that each unit causes alone.
//
// The model: one bit more divides a unit's KL by four, and KLs add up. In the
// high-rate regime the squared error of a quantizer falls as 2^(-2 bits)
// (Bennett, Spectra of Quantized Signals, 1948; for a Gaussian source at any
// rate, Cover and Thomas, Elements of Information Theory, 2006,
// theorem 10.3.2), and KL is quadratic in small errors. Neither holds far from
// what was measured, which is why no unit moves by more than kMaxBitChange; how
// additive the KLs are, v1::AttributionReport says. What comes out is a
// suggestion to be measured.
//
// Pure functions: thread-safe.
#ifndef QUANTD_EVALUATORS_BIT_SUGGESTION_H_
#define QUANTD_EVALUATORS_BIT_SUGGESTION_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "quantd/v1/evaluation.pb.h"

namespace quantd {

// Bits that a unit gains or loses at most. No unit falls below one bit.
inline constexpr int kMaxBitChange = 2;

// How many bits a unit may lose and gain. REQUIRES: least <= 0 <= most.
struct BitChanges {
  int least = -kMaxBitChange;
  int most = kMaxBitChange;
};

struct UnitCost {
  std::string name;
  uint64_t weights = 0;        // more than 0
  double bits_per_weight = 0;  // now
  double kl = 0;               // alone, at these bits; at least 0
  // What its method allows, within kMaxBitChange.
  BitChanges changes = {};
};

// Whether units of these sizes and bits, whatever their KL, can take
// `target_bits` per weight. InvalidArgument says what they can take, or that
// there is none. 0, as many as now, they always can.
absl::Status CheckTargetBits(absl::Span<const UnitCost> units,
                             double target_bits);

// The bits of all together do not exceed `target_bits` per weight; 0: those of
// now. Greedy: all units begin at their fewest bits, and one bit after the
// other goes where it saves the most KL per weight. With units of one size that
// is the best there is under the model, as the savings of a unit only fall (Fox
// 1966, marginal analysis); with others it is near it. Where giving to the bits
// of now, without taking, is as good or better, that is suggested: with the
// bits of now, that nothing changes. Errors as CheckTargetBits().
absl::StatusOr<v1::BitSuggestion> SuggestBits(absl::Span<const UnitCost> units,
                                              double target_bits);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_BIT_SUGGESTION_H_
