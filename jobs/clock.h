// Time, injectable. Leases and intervals use Monotonic() (immune to clock
// jumps); records use Now().
#ifndef QUANTD_JOBS_CLOCK_H_
#define QUANTD_JOBS_CLOCK_H_

#include "absl/time/time.h"

namespace quantd {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() const = 0;
  // Time since an arbitrary fixed point; never goes back.
  virtual absl::Duration Monotonic() const = 0;

  static Clock* Real();
};

}  // namespace quantd

#endif  // QUANTD_JOBS_CLOCK_H_
