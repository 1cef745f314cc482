#include "kernels/cpu/nearest_centroid.h"

#include <algorithm>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/nearest_centroid.cc"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
//
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace quantd::cpu {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Vectors searched for together: each load of a centroid serves all of them,
// and 4 x (sum, best, index) leaves registers for the operands.
constexpr int64_t kTogether = 4;

// The dot-product form |c|^2 - 2 x c would turn this into a matrix product,
// but with dimensions of 2 to 16 that product is bound by writing its result,
// and its cancellation decides near ties differently from the definition.
template <bool kWeighted>
void SearchVectors(const NearestCentroidArgs& args, int64_t first,
                   int64_t vectors) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  using V = hn::Vec<decltype(d)>;
  using VI = hn::Vec<decltype(di)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t dimension = args.dimension;
  const int64_t k = args.centroid_count;
  const V infinity = hn::Set(d, std::numeric_limits<float>::infinity());

  // A group that is not full searches for its last vector several times.
  const float* x[kTogether];
  const float* w[kTogether];
  for (int64_t v = 0; v < kTogether; ++v) {
    const int64_t offset = (first + std::min(v, vectors - 1)) * dimension;
    x[v] = args.vectors + offset;
    w[v] = kWeighted ? args.weights + offset : nullptr;
  }
  V best0 = infinity, best1 = infinity, best2 = infinity, best3 = infinity;
  VI index0 = hn::Zero(di), index1 = index0, index2 = index0, index3 = index0;
  const auto distance = [&](int64_t v, int64_t t, V c, V sum) HWY_ATTR {
    const V difference = hn::Sub(hn::Set(d, x[v][t]), c);
    if constexpr (kWeighted) {
      return hn::MulAdd(hn::Mul(difference, difference), hn::Set(d, w[v][t]),
                        sum);
    } else {
      return hn::MulAdd(difference, difference, sum);
    }
  };
  const auto keep = [&](V sum, VI indices, V& best, VI& index) HWY_ATTR {
    const auto less = hn::Lt(sum, best);
    best = hn::IfThenElse(less, sum, best);
    index = hn::IfThenElse(hn::RebindMask(di, less), indices, index);
  };
  // The last centroids of a table that does not fill its vectors: masked loads
  // of older targets read beyond them.
  HWY_ALIGN float tail[hn::MaxLanes(d)] = {};
  for (int64_t j = 0; j < k; j += lanes) {
    const size_t here = static_cast<size_t>(std::min(lanes, k - j));
    V sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
    for (int64_t t = 0; t < dimension; ++t) {
      const float* from = args.centroids + t * k + j;
      if (here < static_cast<size_t>(lanes)) std::copy_n(from, here, tail);
      const V c = here < static_cast<size_t>(lanes) ? hn::Load(d, tail)
                                                    : hn::LoadU(d, from);
      sum0 = distance(0, t, c, sum0);
      sum1 = distance(1, t, c, sum1);
      sum2 = distance(2, t, c, sum2);
      sum3 = distance(3, t, c, sum3);
    }
    if (here < static_cast<size_t>(lanes)) {
      const auto valid = hn::FirstN(d, here);
      sum0 = hn::IfThenElse(valid, sum0, infinity);
      sum1 = hn::IfThenElse(valid, sum1, infinity);
      sum2 = hn::IfThenElse(valid, sum2, infinity);
      sum3 = hn::IfThenElse(valid, sum3, infinity);
    }
    const VI indices = hn::Iota(di, static_cast<int32_t>(j));
    keep(sum0, indices, best0, index0);
    keep(sum1, indices, best1, index1);
    keep(sum2, indices, best2, index2);
    keep(sum3, indices, best3, index3);
  }
  // Each lane holds its first minimum; of equal lanes the lowest index.
  const auto lowest = [&](V best, VI index) HWY_ATTR {
    const auto least = hn::Eq(best, hn::MinOfLanes(d, best));
    const VI candidates =
        hn::IfThenElse(hn::RebindMask(di, least), index,
                       hn::Set(di, std::numeric_limits<int32_t>::max()));
    return hn::GetLane(hn::MinOfLanes(di, candidates));
  };
  const int32_t found[kTogether] = {
      lowest(best0, index0), lowest(best1, index1), lowest(best2, index2),
      lowest(best3, index3)};
  std::copy_n(found, vectors, args.nearest + first);
}

void NearestCentroids(const NearestCentroidArgs& args) {
  for (int64_t i = 0; i < args.count; i += kTogether) {
    const int64_t vectors = std::min(kTogether, args.count - i);
    if (args.weights != nullptr) {
      SearchVectors<true>(args, i, vectors);
    } else {
      SearchVectors<false>(args, i, vectors);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace quantd::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace quantd::cpu {

HWY_EXPORT(NearestCentroids);

void FindNearestCentroids(const NearestCentroidArgs& args) {
  HWY_DYNAMIC_DISPATCH(NearestCentroids)(args);
}

}  // namespace quantd::cpu
#endif  // HWY_ONCE
