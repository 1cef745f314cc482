#include "base/byte_size.h"

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

TEST(ByteSizeTest, ReadsNumbersWithAndWithoutUnits) {
  for (const auto& [text, bytes] :
       std::vector<std::pair<std::string, uint64_t>>{
           {"0", 0},
           {"1000", 1000},
           {"2K", 2048},
           {"1.5G", 1610612736},
           {"1.5GiB", 1610612736},
           {"1536m", 1610612736},
           {" 1T ", uint64_t{1} << 40}}) {
    ASSERT_OK_AND_ASSIGN(const uint64_t parsed, ParseByteSize(text));
    EXPECT_EQ(parsed, bytes) << text;
  }
}

TEST(ByteSizeTest, RefusesWhatIsNoSize) {
  for (const char* text : {"", "G", "iB", "10iB", "-1G", "1e3", "inf", "1.2.3",
                           "12X", "9000000000000G"}) {
    EXPECT_THAT(
        ParseByteSize(text).status(),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1536M")))
        << text;
  }
}

TEST(ByteSizeTest, WritesTheLargestUnitThatFits) {
  EXPECT_EQ(ByteSizeText(1023), "1023 B");
  EXPECT_EQ(ByteSizeText(1024), "1.00 KiB");
  EXPECT_EQ(ByteSizeText(1610612736), "1.50 GiB");
  EXPECT_EQ(ByteSizeText(uint64_t{5} << 50), "5120.00 TiB");
}

}  // namespace
}  // namespace quantd
