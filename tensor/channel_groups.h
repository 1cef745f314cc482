// ChannelGroups: which input channels of a weight share a scale and a zero
// point.
//
// Immutable, thread-safe.
#ifndef QUANTD_TENSOR_CHANNEL_GROUPS_H_
#define QUANTD_TENSOR_CHANNEL_GROUPS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace quantd {

// Which scale and zero point an input channel has: that of group c / group_size
// or, where channels were regrouped, of group_of[c].
struct ChannelGroups {
  int64_t group_size = 0;
  std::shared_ptr<const std::vector<int32_t>> group_of;  // null: consecutive

  int64_t Of(int64_t c) const {
    return group_of == nullptr ? c / group_size
                               : (*group_of)[static_cast<size_t>(c)];
  }

  // Of() of the first `cols` channels, for loops over weights: a division for
  // each would take longer than all the rest.
  std::vector<int32_t> ByChannel(int64_t cols) const {
    std::vector<int32_t> result(static_cast<size_t>(cols));
    for (int64_t c = 0; c < cols; ++c) {
      result[static_cast<size_t>(c)] = static_cast<int32_t>(Of(c));
    }
    return result;
  }
};

}  // namespace quantd

#endif  // QUANTD_TENSOR_CHANNEL_GROUPS_H_
