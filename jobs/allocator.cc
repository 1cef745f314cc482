#include "jobs/allocator.h"

#include <malloc.h>

namespace quantd {
namespace {

// Buffers of this size and more are mapped one by one and unmapped when freed.
// The default threshold grows to 32 MiB with use, and what lies below it stays
// with the heap of the thread that allocated it. Small enough for every
// matrix that matters, large enough that page faults cost little beside the
// work on the buffer.
constexpr int kMappedBytes = 2 << 20;

}  // namespace

void ReturnFreedMemoryAtOnce() {
  ::mallopt(M_MMAP_THRESHOLD, kMappedBytes);
  ::mallopt(M_TRIM_THRESHOLD, kMappedBytes);
}

void TrimFreedMemory() { ::malloc_trim(0); }

}  // namespace quantd
