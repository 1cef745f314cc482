#include "jobs/memory_probe.h"

#include <algorithm>
#include <fstream>
#include <string>

#include "absl/time/time.h"

namespace quantd {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(50);

}  // namespace

MemoryReading ReadMemory() {
  MemoryReading reading;
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    const auto read = [&](const char* name, uint64_t* bytes) {
      const std::string prefix = std::string(name) + ":";
      if (line.compare(0, prefix.size(), prefix) == 0) {
        *bytes = std::strtoull(line.c_str() + prefix.size(), nullptr, 10)
                 << 10;  // the file counts KiB
      }
    };
    read("VmRSS", &reading.resident_bytes);
    read("VmHWM", &reading.peak_resident_bytes);
    read("RssAnon", &reading.anonymous_bytes);
  }
  return reading;
}

MemoryProbe::MemoryProbe() : thread_([this] { Run(); }) {}

MemoryProbe::~MemoryProbe() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void MemoryProbe::Run() {
  absl::MutexLock lock(&mutex_);
  do {
    peak_anonymous_bytes_ =
        std::max<uint64_t>(peak_anonymous_bytes_, ReadMemory().anonymous_bytes);
  } while (!mutex_.AwaitWithTimeout(absl::Condition(&stopping_), kInterval));
}

}  // namespace quantd
