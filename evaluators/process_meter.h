// What the clock and the system say of this process and this machine, behind an
// interface so that tests of measurements can say it instead.
//
// Confined to one thread.
#ifndef QUANTD_EVALUATORS_PROCESS_METER_H_
#define QUANTD_EVALUATORS_PROCESS_METER_H_

#include <cstdint>
#include <memory>

namespace quantd {

struct MachineLoad {
  double average = 0;  // over the last minute
  // Threads that run or want to, of all processes, beside the one that asks.
  uint32_t other_running_threads = 0;
};

class ProcessMeter {
 public:
  virtual ~ProcessMeter() = default;

  // Since an arbitrary fixed point; never goes back.
  virtual double WallSeconds() = 0;
  // Of all threads of the process, in user and system mode.
  virtual double CpuSeconds() = 0;
  // Resident memory now, and the most that there has been; 0 where the system
  // does not say.
  virtual uint64_t ResidentBytes() = 0;
  virtual uint64_t PeakResidentBytes() = 0;
  virtual MachineLoad Load() = 0;
};

// The system's: clock_gettime(), /proc/self/status, /proc/loadavg.
std::unique_ptr<ProcessMeter> NewProcessMeter();

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_PROCESS_METER_H_
