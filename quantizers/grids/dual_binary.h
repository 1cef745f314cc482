// The grid of DB-LLM (Chen et al., arXiv:2402.11960, flexible dual
// binarization): per row and group of input channels two levels that two bits
// switch on, the four values low, 0, high + low and high. Kept as layout
// "dual-binary.v1".
//
// The fit is the paper's proxy, a grid of two bits: with s = max|w| / 2,
// high = 2s and low = -s, so that the values are -s, 0, s and 2s. The levels
// are asymmetric: what is below -s is cut. With `mirror` the levels of a group
// are negated where its weight of largest size is negative (not in the paper).
// A group of zeros has the levels 2 and -1.
#ifndef QUANTD_QUANTIZERS_GRIDS_DUAL_BINARY_H_
#define QUANTD_QUANTIZERS_GRIDS_DUAL_BINARY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "models/layouts/dual_binary.h"
#include "quantd/v1/grids.pb.h"
#include "quantizers/grid.h"
#include "quantizers/layer_grid.h"

namespace quantd {

// Levels of one group with its sign: high > 0 > low and high + low > 0, or all
// negated where it is mirrored.
struct DualBinaryPair {
  float high = 2.0f;
  float low = -1.0f;
};

// b1 + 2 b2 of
//   b1 = [w - (high + low) / 2 >= 0]
//   b2 = [-(w - high b1 - low / 2) >= 0]
// ([] = 1 where true, arXiv:2402.11960), of the negated weight and
// levels where these are mirrored: the value nearest to `w`.
template <typename Real>
inline int EncodeDualBinary(Real w, const DualBinaryPair& pair) {
  const Real sign = pair.high < 0 ? Real{-1} : Real{1};
  const Real high = sign * static_cast<Real>(pair.high);
  const Real low = sign * static_cast<Real>(pair.low);
  const Real v = sign * w;
  const int b1 = v >= (high + low) / 2 ? 1 : 0;
  const int b2 = v <= (b1 != 0 ? high : Real{0}) + low / 2 ? 1 : 0;
  return b1 + 2 * b2;
}

template <typename Real>
inline Real DecodeDualBinary(int code, const DualBinaryPair& pair) {
  // In float32, as the stored layer is decoded.
  return static_cast<Real>(((code & 1) != 0 ? pair.high : 0.0f) +
                           ((code & 2) != 0 ? pair.low : 0.0f));
}

struct DualBinaryOptions {
  int64_t group_size = 64;  // -1: one group per output channel
  bool mirror = true;

  int64_t GroupSizeFor(int64_t cols) const {
    return group_size < 0 ? cols : group_size;
  }
};

template <typename Real>
class DualBinaryLayerGrid final : public LayerGrid<Real> {
 public:
  // REQUIRES: the group size divides `cols`.
  DualBinaryLayerGrid(int64_t rows, int64_t cols,
                      const DualBinaryOptions& options);

  int64_t group_size() const override { return weights_.group_size; }
  void FitGroup(const GroupValues<Real>& group) override;
  void Quantize(const Patch<Real>& patch) override;
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Finish(
      std::vector<int32_t> group_index) override;

 private:
  DualBinaryWeights weights_;
};

std::unique_ptr<Grid> NewDualBinaryGrid(const v1::DualBinaryGrid& options);

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_GRIDS_DUAL_BINARY_H_
