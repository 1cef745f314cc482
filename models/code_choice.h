// CodeChoice: the codes of a compressed layer while they are chosen anew, its
// parameters fixed (TunableLinear::Codes). Weights that share a code are a
// unit: a single weight on scalar grids, a short vector on vector codebooks.
//
//   auto choice = tunable->Codes(parameters, ctx);
//   choice->Choose(u, choice->Nearest(u, target).codes);   // some units
//   ASSIGN_OR_RETURN(layer, choice->Finish());
//
// Const members are thread-safe.
#ifndef QUANTD_MODELS_CODE_CHOICE_H_
#define QUANTD_MODELS_CODE_CHOICE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/compressed_linear.h"
#include "tensor/channel_groups.h"
#include "tensor/tensor.h"

namespace quantd {

class CodeChoice {
 public:
  // One code per codebook of the unit, and what its weights become.
  struct Candidate {
    absl::InlinedVector<uint32_t, 4> codes;
    absl::InlinedVector<float, 8> weights;
  };

  virtual ~CodeChoice() = default;

  virtual int64_t units() const = 0;

  // Where the weights of a unit are, row * cols + column of each; replaces what
  // `places` holds.
  using PlaceList = absl::InlinedVector<int64_t, 8>;
  virtual void Places(int64_t unit, PlaceList* places) const = 0;

  // The codes that a unit has.
  virtual absl::InlinedVector<uint32_t, 4> CodesOf(int64_t unit) const = 0;

  // The codes whose weights are nearest to `target`, one value a place, by the
  // sum of squares; of equals the first, and never farther away than the codes
  // that the unit has. Exact but where a unit's codebooks have more than
  // kExactPairs combinations: there each is chosen in turn until none changes.
  static constexpr int64_t kExactPairs = 1 << 16;
  virtual Candidate Nearest(int64_t unit,
                            absl::Span<const float> target) const = 0;

  // Whether the unit had others.
  virtual bool Choose(int64_t unit, absl::Span<const uint32_t> codes) = 0;

  // The layer with the codes as they are now, and the parameters that the
  // choice was made with.
  virtual absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish()
      const = 0;
};

// Codes of single weights:
//   w[r, c] = scale[r, g] * (values(r, c)[code] - zero[r, g])
struct ScalarCodes {
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<uint8_t> codes;  // [rows, cols]
  // What the codes of a weight stand for, code k at [k].
  std::function<absl::Span<const float>(int64_t row, int64_t col)> values;
  Tensor scales;  // [rows, groups]; empty: all one
  Tensor zeros;   // [rows, groups]; empty: all zero
  ChannelGroups groups;
  std::function<absl::StatusOr<std::shared_ptr<const CompressedLinear>>(
      const std::vector<uint8_t>& codes)>
      finish;
};
std::unique_ptr<CodeChoice> NewScalarCodeChoice(ScalarCodes codes);

// 0, 1, .. 2^bits - 1 as floats: the values of integer codes.
absl::Span<const float> IntegerValues(int bits);

}  // namespace quantd

#endif  // QUANTD_MODELS_CODE_CHOICE_H_
