// Calibration windows in random order, anew whenever all have had their turn.
// A function of the arguments alone. Thread-compatible.
#ifndef QUANTD_QUANTIZERS_WINDOW_ORDER_H_
#define QUANTD_QUANTIZERS_WINDOW_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

namespace quantd {

class WindowOrder {
 public:
  // REQUIRES: windows >= 1.
  WindowOrder(int64_t windows, uint64_t seed)
      : engine_(seed), order_(static_cast<size_t>(windows)) {
    std::iota(order_.begin(), order_.end(), 0);
    next_ = order_.size();
  }

  int64_t Next() {
    if (next_ == order_.size()) {
      // Fisher and Yates; what std::shuffle does is up to the library.
      for (size_t i = order_.size(); i > 1; --i) {
        std::swap(order_[i - 1], order_[engine_() % i]);
      }
      next_ = 0;
    }
    return order_[next_++];
  }

 private:
  std::mt19937_64 engine_;
  std::vector<int64_t> order_;
  size_t next_;
};

}  // namespace quantd

#endif  // QUANTD_QUANTIZERS_WINDOW_ORDER_H_
