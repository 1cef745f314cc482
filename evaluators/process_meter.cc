#include "evaluators/process_meter.h"

#include <time.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace quantd {
namespace {

double Seconds(clockid_t clock) {
  timespec time = {};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) +
         1e-9 * static_cast<double>(time.tv_nsec);
}

// A line "VmRSS:    1234 kB" of /proc/self/status, in bytes.
uint64_t StatusBytes(absl::string_view name) {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    absl::string_view rest = line;
    if (!absl::ConsumePrefix(&rest, name) || !absl::ConsumePrefix(&rest, ":")) {
      continue;
    }
    absl::ConsumeSuffix(&rest, "kB");
    uint64_t kib = 0;
    return absl::SimpleAtoi(rest, &kib) ? kib << 10 : 0;
  }
  return 0;
}

class SystemProcessMeter final : public ProcessMeter {
 public:
  double WallSeconds() override { return Seconds(CLOCK_MONOTONIC); }
  double CpuSeconds() override { return Seconds(CLOCK_PROCESS_CPUTIME_ID); }
  uint64_t ResidentBytes() override { return StatusBytes("VmRSS"); }
  uint64_t PeakResidentBytes() override { return StatusBytes("VmHWM"); }

  MachineLoad Load() override {
    // "0.20 0.18 0.12 1/80 11206": averages, then running / all threads.
    MachineLoad load;
    std::ifstream file("/proc/loadavg");
    double five = 0, fifteen = 0;
    uint32_t running = 0;
    if (file >> load.average >> five >> fifteen >> running) {
      load.other_running_threads = running - std::min<uint32_t>(running, 1);
    }
    return load;
  }
};

}  // namespace

std::unique_ptr<ProcessMeter> NewProcessMeter() {
  return std::make_unique<SystemProcessMeter>();
}

}  // namespace quantd
