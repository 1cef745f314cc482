#include "base/large_array.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>

namespace quantd {
namespace {

// Of x86-64, and of arm64 with base pages of 4 KiB.
constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

void* AllocateLarge(size_t bytes) {
  void* p = nullptr;
  if (bytes < kLargeArrayBytes) {
    p = std::malloc(std::max<size_t>(bytes, 1));
  } else if (bytes <= static_cast<size_t>(PTRDIFF_MAX) &&
             ::posix_memalign(&p, kHugePage, bytes) == 0) {
    // A wish: without huge pages everything works, only slower. What does not
    // fill the last one stays on small pages and costs no more than it holds.
    ::madvise(p, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  } else {
    p = nullptr;
  }
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace quantd
