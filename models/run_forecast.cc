#include "models/run_forecast.h"

#include <algorithm>

namespace quantd {

uint64_t SumOf(const std::vector<MemoryPart>& parts) {
  uint64_t sum = 0;
  for (const MemoryPart& part : parts) sum += part.bytes;
  return sum;
}

Placement Place(const RunForecast& forecast, uint64_t limit_bytes) {
  Placement placement;
  const uint64_t fixed = SumOf(forecast.parts);
  const uint64_t all = forecast.activation_bytes;
  // Spilling something that is smaller than the batch it is read back into
  // would need more memory, not less.
  const bool may_spill = all > forecast.batch_bytes;
  placement.least_bytes = fixed + (may_spill ? forecast.batch_bytes : all);
  if (!may_spill || (fixed <= limit_bytes && all <= limit_bytes - fixed)) {
    placement.activation_memory_bytes = all;
    placement.peak_bytes = fixed + all;
    return placement;
  }
  placement.activation_memory_bytes =
      limit_bytes > placement.least_bytes
          ? std::min(all, limit_bytes - placement.least_bytes)
          : 0;
  placement.spilled_bytes = all - placement.activation_memory_bytes;
  placement.peak_bytes =
      placement.least_bytes + placement.activation_memory_bytes;
  return placement;
}

}  // namespace quantd
