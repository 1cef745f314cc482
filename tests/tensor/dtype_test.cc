#include "tensor/dtype.h"

#include <set>

#include "gtest/gtest.h"

namespace quantd {
namespace {

TEST(DTypeTest, NamesAreUniqueAndLeadBack) {
  std::set<absl::string_view> names;
  for (DType dtype : AllDTypes()) {
    EXPECT_TRUE(names.insert(DTypeName(dtype)).second);
    EXPECT_EQ(DTypeFromName(DTypeName(dtype)), dtype);
    EXPECT_GE(DTypeSize(dtype), 1u);
    EXPECT_LE(DTypeSize(dtype), 8u);
  }
  EXPECT_EQ(DTypeFromName("F33"), std::nullopt);
}

}  // namespace
}  // namespace quantd
