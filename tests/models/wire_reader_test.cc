#include "models/tokenizers/wire_reader.h"

#include <string>

#include "tests/testing/sentence_piece_bytes.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

TEST(WireReaderTest, ReadsEveryKindOfField) {
  const std::string bytes = VarintField(1, 300) + BytesField(20, "text") +
                            FloatField(3, 1.0f) +
                            "\x21"
                            "12345678";
  WireReader reader(bytes, /*offset=*/100);
  ASSERT_OK_AND_ASSIGN(const WireField number, reader.Next());
  EXPECT_EQ(number.number, 1u);
  EXPECT_EQ(number.type, WireType::kVarint);
  EXPECT_EQ(number.value, 300u);
  ASSERT_OK_AND_ASSIGN(const WireField text, reader.Next());
  EXPECT_EQ(text.number, 20u);
  EXPECT_EQ(text.bytes, "text");
  EXPECT_EQ(reader.field_offset(), 106u);
  ASSERT_OK_AND_ASSIGN(const WireField real, reader.Next());
  EXPECT_EQ(real.type, WireType::kFixed32);
  EXPECT_EQ(real.value, 0x3F800000u);
  ASSERT_OK_AND_ASSIGN(const WireField wide, reader.Next());
  EXPECT_EQ(wide.type, WireType::kFixed64);
  EXPECT_EQ(wide.value, 0x3837363534333231u);
  EXPECT_TRUE(reader.AtEnd());
}

TEST(WireReaderTest, FaultsNameTheByteOfTheFile) {
  WireReader reader(
      "\x0A\x05"
      "ab",
      /*offset=*/10);
  EXPECT_THAT(reader.Next(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "byte 12: a field of 5 bytes where 2 are left"));
}

}  // namespace
}  // namespace quantd::test
