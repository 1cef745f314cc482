#include "base/large_array.h"

#include <sys/mman.h>

#include <algorithm>

namespace quantd {
namespace {

// Of x86-64, and of arm64 with base pages of 4 KiB.
constexpr size_t kHugePage = size_t{2} << 20;

}  // namespace

void* AllocateLarge(size_t bytes) {
  void* p = nullptr;
  if (bytes < kLargeArrayBytes) {
    p = std::malloc(std::max<size_t>(bytes, 1));
  } else if (bytes <= static_cast<size_t>(-1) - kHugePage) {
    const size_t whole = (bytes + kHugePage - 1) / kHugePage * kHugePage;
    p = std::aligned_alloc(kHugePage, whole);
    // A wish: without huge pages everything works, only slower.
    if (p != nullptr) ::madvise(p, whole, MADV_HUGEPAGE);
  }
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace quantd
