// Arrays of numbers that are large, short-lived and written whole: activations,
// products, scratch. From kLargeArrayBytes on they lie on huge pages where the
// system grants them on request (MADV_HUGEPAGE), because a fresh array on pages
// of 4 KiB costs more time in page faults than in many an operation that fills
// it.
//
// Thread-safe.
#ifndef QUANTD_BASE_LARGE_ARRAY_H_
#define QUANTD_BASE_LARGE_ARRAY_H_

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <type_traits>

namespace quantd {

inline constexpr size_t kLargeArrayBytes = size_t{2} << 20;

// At least `bytes` bytes, uninitialised, for std::free(). Throws
// std::bad_alloc, as `new` does.
void* AllocateLarge(size_t bytes);

struct FreeDeleter {
  void operator()(void* p) const { std::free(p); }
};

template <typename T>
using LargeArray = std::unique_ptr<T[], FreeDeleter>;

// Uninitialised.
template <typename T>
LargeArray<T> NewLargeArray(size_t count) {
  static_assert(std::is_trivial_v<T>);
  if (count > static_cast<size_t>(-1) / sizeof(T)) throw std::bad_alloc();
  return LargeArray<T>(static_cast<T*>(AllocateLarge(count * sizeof(T))));
}

}  // namespace quantd

#endif  // QUANTD_BASE_LARGE_ARRAY_H_
