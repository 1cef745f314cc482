#include <string>
#include <vector>

#include "base/file.h"
#include "models/checkpoint.h"
#include "tests/models/malformed_input.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Nested(int levels) {
  std::string text = "{\"a\":";
  text.append(static_cast<size_t>(levels), '[');
  text.append(static_cast<size_t>(levels), ']');
  return text + "}";
}

// A valid index of the two shards that every test directory has.
std::string Index(const std::string& a, const std::string& b) {
  return R"({"weight_map":{"a":")" + a + R"(","b":")" + b + "\"}}";
}

std::vector<MalformedInput> BrokenConfigs() {
  return {
      {"Empty", "", "byte 1"},
      {"Truncated", "{\"hidden_size\":", "byte 16"},
      {"TrailingComma", "{\"a\":1,}", "byte 8"},
      {"TrailingText", "{} {}", "byte 4"},
      {"Comment", "{/* why */}", "byte 2"},
      {"IsAnArray", "[]", "expected an object, got an array of 0"},
      {"IsNull", "null", "expected an object, got null"},
      {"NotUtf8", "{\"a\":\"\xFE\"}", "UTF-8"},
      {"ControlCharacter", "{\"a\":\"\n\"}", "byte 7"},
      {"DuplicateKey", R"({"hidden_size":1,"hidden_size":2})",
       "\"hidden_size\" appears twice"},
      {"NestedDeeply", Nested(100000), "levels deep"},
      {"NumberOverflow", "{\"a\":1e400}", "number overflow"},
      {"NotANumber", "{\"a\":NaN}", "byte 6"},
      {"Over16MiB", "{}" + std::string(size_t{16} << 20, ' '),
       "the limit is 16777216"},
  };
}

std::vector<MalformedInput> BrokenIndices() {
  return {
      {"Empty", "", "byte 1"},
      {"IsAnArray", "[]", "expected an object"},
      {"NoWeightMap", "{}", "weight_map: missing"},
      {"WeightMapIsAnArray", R"({"weight_map":[]})",
       "weight_map: expected an object"},
      {"WeightMapIsEmpty", R"({"weight_map":{}})", "names no tensor"},
      {"ShardIsANumber", R"({"weight_map":{"a":1}})",
       "weight_map.\"a\": expected a file name, got 1"},
      {"ShardInAParent", Index("../1.safetensors", "2.safetensors"),
       "\"../1.safetensors\" is not the name"},
      {"ShardInASubdirectory", Index("x/1.safetensors", "2.safetensors"),
       "is not the name"},
      {"ShardIsAbsolute", Index("/etc/1.safetensors", "2.safetensors"),
       "is not the name"},
      {"ShardIsDotDot", Index("..", "2.safetensors"), "is not the name"},
      {"ShardWithNul", Index("1\\u0000.safetensors", "2.safetensors"),
       "is not the name"},
      {"ShardIsAnotherKindOfFile", Index("config.json", "2.safetensors"),
       "is not the name"},
      {"ShardNameIsEmpty", Index("", "2.safetensors"), "is not the name"},
      {"ShardIsAbsent", Index("1.safetensors", "3.safetensors"),
       "\"3.safetensors\" is missing"},
      {"ShardIsADirectory", Index("1.safetensors", "dir.safetensors"),
       "not a regular file"},
      {"ShardIsBroken", Index("1.safetensors", "broken.safetensors"),
       "truncated"},
      {"TensorInTheOtherShard", Index("2.safetensors", "1.safetensors"),
       "\"a\" is placed in \"2.safetensors\" but lies in \"1.safetensors\""},
      {"TensorInNoShard",
       R"({"weight_map":{"a":"1.safetensors","c":"1.safetensors"}})",
       "\"c\" is not in \"1.safetensors\""},
      {"TensorInTwoShards", Index("1.safetensors", "both.safetensors"),
       "\"a\" is in two shards, \"1.safetensors\" and \"both.safetensors\""},
      {"DuplicateTensor",
       R"({"weight_map":{"a":"1.safetensors","a":"2.safetensors"}})",
       "\"a\" appears twice"},
  };
}

class MalformedConfigTest : public ::testing::TestWithParam<MalformedInput> {};

TEST_P(MalformedConfigTest, IsRefusedWithTheFileAndTheFault) {
  TempDir dir;
  ASSERT_THAT(WriteFileDurably(dir.File("config.json"), GetParam().bytes),
              IsOk());
  ASSERT_THAT(WriteSafetensors(dir.File("model.safetensors"), {}, {}), IsOk());
  EXPECT_THAT(Checkpoint::Open(dir.path()),
              StatusIs(GetParam().code, AllOf(HasSubstr("/config.json: "),
                                              HasSubstr(GetParam().fault))));
}

INSTANTIATE_TEST_SUITE_P(Table, MalformedConfigTest,
                         ::testing::ValuesIn(BrokenConfigs()),
                         MalformedInputName);

class MalformedIndexTest : public ::testing::TestWithParam<MalformedInput> {
 protected:
  void SetUp() override {
    const TensorToWrite a = {"a", DType::kU8, {1}, "x"};
    const TensorToWrite b = {"b", DType::kU8, {1}, "y"};
    const auto write = [&](const std::string& name,
                           const std::vector<TensorToWrite>& tensors) {
      ASSERT_THAT(WriteSafetensors(dir_.File(name), tensors, {}), IsOk());
    };
    write("1.safetensors", {a});
    write("2.safetensors", {b});
    write("both.safetensors", {a, b});
    ASSERT_THAT(CreateDirectories(dir_.File("dir.safetensors")), IsOk());
    WriteText("broken.safetensors", "abc");
    WriteText("config.json", "{}");
  }
  void WriteText(const std::string& name, const std::string& text) {
    ASSERT_THAT(WriteFileDurably(dir_.File(name), text), IsOk());
  }

  TempDir dir_;
};

TEST_P(MalformedIndexTest, IsRefusedWithTheFault) {
  WriteText("model.safetensors.index.json", GetParam().bytes);
  EXPECT_THAT(Checkpoint::Open(dir_.path()),
              StatusIs(GetParam().code, AllOf(HasSubstr(dir_.path()),
                                              HasSubstr(GetParam().fault))));
}

INSTANTIATE_TEST_SUITE_P(Table, MalformedIndexTest,
                         ::testing::ValuesIn(BrokenIndices()),
                         MalformedInputName);

class WellFormedIndexTest : public MalformedIndexTest {};

TEST_P(WellFormedIndexTest, IsTaken) {
  WriteText("model.safetensors.index.json", GetParam().bytes);
  EXPECT_THAT(Checkpoint::Open(dir_.path()), IsOk());
}

INSTANTIATE_TEST_SUITE_P(
    Table, WellFormedIndexTest,
    ::testing::ValuesIn(std::vector<MalformedInput>{
        {"TwoShards", Index("1.safetensors", "2.safetensors"), ""},
        {"OneShard", Index("both.safetensors", "both.safetensors"), ""},
        {"ShardWithMoreThanTheIndexNames",
         R"({"weight_map":{"a":"both.safetensors"}})", ""},
    }),
    MalformedInputName);

}  // namespace
}  // namespace quantd::test
