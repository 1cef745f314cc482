#include <string>
#include <vector>

#include "models/safetensors.h"
#include "tests/models/malformed_input.h"
#include "tests/models/safetensors_image.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Two F32 tensors of two elements each at the given offsets of 16 bytes.
std::string TwoTensors(const std::string& a, const std::string& b) {
  return Image(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":)" + a +
                   R"(},"b":{"dtype":"F32","shape":[2],"data_offsets":)" + b +
                   "}}",
               "0123456789abcdef");
}

std::string Nested(int levels) {
  return Image("{\"t\":" + std::string(static_cast<size_t>(levels), '[') +
                   std::string(static_cast<size_t>(levels), ']') + "}",
               "");
}

// [1,1,...]
std::string ShapeOfRank(int rank) {
  std::string shape = "[1";
  for (int i = 1; i < rank; ++i) shape += ",1";
  return shape + "]";
}

std::vector<MalformedInput> BrokenFiles() {
  constexpr uint64_t kMebi = uint64_t{1} << 20;
  return {
      {"Empty", "", "truncated"},
      {"SevenBytes", std::string("\x02\0\0\0\0\0\0", 7), "truncated"},
      {"HeaderLengthZero", ImageWithLength(0, "{}"), "header length is 0"},
      {"HeaderPastTheEnd", ImageWithLength(3, "{}"), "only 2 bytes follow"},
      {"HeaderLengthAllOnes", ImageWithLength(~uint64_t{0}, "{}"),
       "over the limit"},
      {"HeaderOver100MiB", ImageWithLength(100 * kMebi + 1, "{}"),
       "over the limit"},
      {"HeaderIsAnArray", Image("[]", ""), "does not begin with"},
      {"HeaderAfterASpace", Image(" {}", ""), "does not begin with"},
      {"HeaderIsNotJson", Image("{\"t\":", ""), "byte 6"},
      {"HeaderWithTrailingText", Image("{} x", ""), "byte 4"},
      {"HeaderIsNotUtf8", Image("{\"\xFF\":1}", ""), "UTF-8"},
      {"HeaderNestedDeeply", Nested(1000), "levels deep"},
      {"DuplicateTensor",
       Image(R"({"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},)"
             R"("t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})",
             ""),
       "\"t\" appears twice"},
      {"DuplicateKeyInEntry", Image(R"({"t":{"dtype":"U8","dtype":"I8"}})", ""),
       "\"dtype\" appears twice"},
      {"EntryIsAString", Image(R"({"t":"F32"})", ""), "expected an object"},
      {"NoDtype", Image(R"({"t":{"shape":[0],"data_offsets":[0,0]}})", ""),
       "dtype: missing"},
      {"NoShape", Image(R"({"t":{"dtype":"U8","data_offsets":[0,0]}})", ""),
       "shape: missing"},
      {"NoOffsets", Image(R"({"t":{"dtype":"U8","shape":[0]}})", ""),
       "data_offsets: missing"},
      {"UnknownDtype", OneTensor("\"F31\"", "[2]", "[0,8]"),
       "unknown type \"F31\""},
      {"DtypeIsANumber", OneTensor("32", "[2]", "[0,8]"), "expected a string"},
      {"ShapeIsANumber", OneTensor("\"F32\"", "2", "[0,8]"),
       "expected an array"},
      {"NegativeExtent", OneTensor("\"F32\"", "[-2]", "[0,8]"),
       "non-negative integers, got -2"},
      {"FractionalExtent", OneTensor("\"F32\"", "[2.0]", "[0,8]"),
       "non-negative integers"},
      {"ExtentBeyondInt64",
       OneTensor("\"F32\"", "[9223372036854775808]", "[0,8]"),
       "non-negative integers"},
      {"ExtentBeyondDouble", OneTensor("\"F32\"", "[1e999]", "[0,8]"),
       "number overflow"},
      {"ElementCountOverflows",
       OneTensor("\"F32\"", "[4294967296,4294967296]", "[0,8]"), "overflows"},
      // 2^62 + 2 elements: times 4 it wraps to 8 bytes, the real length.
      {"ByteCountWrapsToTheRightLength",
       OneTensor("\"F32\"", "[4611686018427387906]", "[0,8]"), "overflows"},
      {"OverflowHiddenByAZero",
       OneTensor("\"F32\"", "[0,4294967296,4294967296]", "[0,0]"), "overflows"},
      {"RankOf33", OneTensor("\"U8\"", ShapeOfRank(33), "[0,1]"), "rank 33"},
      {"OneOffset", OneTensor("\"F32\"", "[2]", "[8]"),
       "two non-negative integers"},
      {"ThreeOffsets", OneTensor("\"F32\"", "[2]", "[0,4,8]"),
       "two non-negative integers"},
      {"NegativeOffset", OneTensor("\"F32\"", "[2]", "[-8,0]"),
       "two non-negative integers"},
      {"OffsetIsAString", OneTensor("\"F32\"", "[2]", "[\"0\",8]"),
       "two non-negative integers"},
      {"OffsetsReversed", OneTensor("\"F32\"", "[2]", "[8,0]"),
       "begin 8 is past end 0"},
      {"OffsetsPastTheData", OneTensor("\"F32\"", "[4]", "[0,16]"),
       "leaves the data section of 8 bytes"},
      {"OffsetsFarPastTheData",
       OneTensor("\"F32\"", "[2]", "[9223372036854775799,9223372036854775807]"),
       "leaves the data section"},
      {"TooFewBytes", OneTensor("\"F32\"", "[3]", "[0,8]"),
       "span 8 bytes, but F32 [3] takes 12"},
      {"TooManyBytes", OneTensor("\"F16\"", "[2]", "[0,8]"),
       "span 8 bytes, but F16 [2] takes 4"},
      {"ScalarOfTwoElements", OneTensor("\"F32\"", "[]", "[0,8]"), "takes 4"},
      {"Overlap", TwoTensors("[0,8]", "[4,12]"), "overlaps \"a\""},
      {"SameBytesTwice", TwoTensors("[0,8]", "[0,8]"), "overlaps"},
      {"HoleAtTheStart", TwoTensors("[4,12]", "[12,20]").append("wxyz"),
       "[0, 4) before it belong to no tensor"},
      {"HoleBetween", TwoTensors("[0,8]", "[12,20]").append("wxyz"),
       "[8, 12) before it belong to no tensor"},
      {"TrailingBytes", TwoTensors("[0,8]", "[8,16]").append("x"),
       "1 trailing bytes"},
      {"MetadataIsAnArray", Image(R"({"__metadata__":[]})", ""),
       "__metadata__: expected an object"},
      {"MetadataValueIsANumber", Image(R"({"__metadata__":{"k":1}})", ""),
       "__metadata__.k: expected a string, got 1"},
  };
}

class MalformedSafetensorsTest
    : public ::testing::TestWithParam<MalformedInput> {};

TEST_P(MalformedSafetensorsTest, IsRefusedWithTheFileAndTheFault) {
  EXPECT_THAT(ParseSafetensors(GetParam().bytes, "broken.safetensors"),
              StatusIs(GetParam().code, AllOf(HasSubstr("broken.safetensors: "),
                                              HasSubstr(GetParam().fault))));
}

INSTANTIATE_TEST_SUITE_P(Table, MalformedSafetensorsTest,
                         ::testing::ValuesIn(BrokenFiles()),
                         MalformedInputName);

TEST(MalformedSafetensorsTableTest, EveryTruncationOfAFileIsRefused) {
  const std::string whole = TwoTensors("[0,8]", "[8,16]");
  ASSERT_THAT(ParseSafetensors(whole, "f"), IsOk());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ParseSafetensors(whole.substr(0, size), "f").ok()) << size;
  }
}

}  // namespace
}  // namespace quantd::test
