#include "jobs/memory_probe.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
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

uint64_t MemoryLimitBytes() {
  uint64_t limit = 0;
  // "max" and the like leave the limit as it is.
  const auto consider = [&limit](const std::string& text) {
    uint64_t bytes = 0;
    if (absl::SimpleAtoi(text, &bytes) && bytes > 0 &&
        (limit == 0 || bytes < limit)) {
      limit = bytes;
    }
  };
  std::ifstream meminfo("/proc/meminfo");
  std::string name;
  uint64_t kib = 0;
  if (meminfo >> name >> kib && name == "MemTotal:") limit = kib << 10;
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    // "<id>:<controllers>:<path>"; no controllers: the unified hierarchy.
    const std::vector<std::string> fields =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const bool unified = fields[1].empty();
    if (!unified && fields[1] != "memory") continue;
    // A limit of any group above holds too; inside a container the path may
    // not exist below the mount, but the root does.
    std::string path = fields[2];
    for (;;) {
      const std::string file =
          unified ? "/sys/fs/cgroup" + path + "/memory.max"
                  : "/sys/fs/cgroup/memory" + path + "/memory.limit_in_bytes";
      std::string text;
      if (std::ifstream(file) >> text) consider(text);
      if (path.empty() || path == "/") break;
      path.resize(path.rfind('/'));
    }
  }
  return limit;
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
