#include "base/large_array.h"

#include <cstdint>
#include <new>

#include "gtest/gtest.h"

namespace quantd {
namespace {

TEST(LargeArrayTest, EveryElementIsItsOwnAtEverySize) {
  for (size_t count :
       {size_t{0}, size_t{1}, size_t{1000}, kLargeArrayBytes / sizeof(int64_t),
        kLargeArrayBytes / sizeof(int64_t) + 1}) {
    const LargeArray<int64_t> values = NewLargeArray<int64_t>(count);
    ASSERT_NE(values, nullptr);
    for (size_t i = 0; i < count; ++i) values[i] = static_cast<int64_t>(i);
    for (size_t i = 0; i < count; i += 997) {
      ASSERT_EQ(values[i], static_cast<int64_t>(i));
    }
  }
}

TEST(LargeArrayTest, LargeOnesBeginOnAHugePage) {
  const LargeArray<float> values =
      NewLargeArray<float>(kLargeArrayBytes / sizeof(float));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(values.get()) % (size_t{2} << 20), 0u);
}

TEST(LargeArrayTest, WhatCannotBeThrowsAsNewDoes) {
  EXPECT_THROW(NewLargeArray<double>(static_cast<size_t>(-1) / 2),
               std::bad_alloc);
  EXPECT_THROW(AllocateLarge(static_cast<size_t>(-1)), std::bad_alloc);
}

}  // namespace
}  // namespace quantd
