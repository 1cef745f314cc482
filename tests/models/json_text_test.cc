#include "models/json_text.h"

#include <string>

#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(ParseJsonTest, BuildsTheValueTheLibraryBuilds) {
  const std::string text =
      R"({"a":[1,-2,3.5,true,null,"x\u00e9",[],{}],"b":{"c":{"d":[[0]]}},)"
      R"("big":18446744073709551615,"":0})";
  ASSERT_OK_AND_ASSIGN(const json value, ParseJson(text, "f"));
  EXPECT_EQ(value, json::parse(text));
  ASSERT_OK_AND_ASSIGN(const json scalar, ParseJson(" 7 ", "f"));
  EXPECT_EQ(scalar, json(7));
}

TEST(ParseJsonTest, FaultsNameTheOriginAndTheByte) {
  EXPECT_THAT(ParseJson("", "f"), StatusIs(kInvalid, StartsWith("f: byte 1")));
  EXPECT_THAT(ParseJson("[1,]", "f"),
              StatusIs(kInvalid, StartsWith("f: byte 4: parse error")));
  EXPECT_THAT(ParseJson("[1] 2", "f"), StatusIs(kInvalid, HasSubstr("byte 5")));
  EXPECT_THAT(ParseJson("NaN", "f"), StatusIs(kInvalid, HasSubstr("byte 1")));
  EXPECT_THAT(ParseJson("[1e999]", "f"),
              StatusIs(kInvalid, HasSubstr("number overflow")));
  EXPECT_THAT(ParseJson("\"\xC0\x80\"", "f"),
              StatusIs(kInvalid, HasSubstr("byte 2")));
  EXPECT_THAT(ParseJson(R"({"a":1,"b":{"a":1,"a":2}})", "f"),
              StatusIs(kInvalid, HasSubstr("key \"a\" appears twice")));
}

TEST(ParseJsonTest, DepthAndSizeAreBounded) {
  JsonLimits limits;
  limits.max_depth = 3;
  limits.max_bytes = 20;
  EXPECT_THAT(ParseJson("[[{}]]", "f", limits), IsOk());
  EXPECT_THAT(ParseJson("[[[[]]]]", "f", limits),
              StatusIs(kInvalid, HasSubstr("more than 3 levels")));
  EXPECT_THAT(ParseJson(std::string(21, ' '), "f", limits),
              StatusIs(kInvalid, HasSubstr("the limit is 20")));
  EXPECT_THAT(ParseJson(std::string(1 << 20, '['), "f"),
              StatusIs(kInvalid, HasSubstr("more than 64 levels")));
}

TEST(QuotedTest, EscapesAndCuts) {
  EXPECT_EQ(Quoted("a\"b\n"), "\"a\\\"b\\n\"");
  EXPECT_EQ(Quoted("\xC4\xA0t"), "\"\xC4\xA0t\"");
  EXPECT_EQ(Quoted("\xFF"), "\"\\xff\"");
  EXPECT_EQ(Quoted(std::string(100, 'x')),
            "\"" + std::string(64, 'x') + "\"...");
  // Never half a character.
  EXPECT_EQ(Quoted(std::string(63, 'x') + "\xC4\xA0t"),
            "\"" + std::string(63, 'x') + "\"...");
}

class JsonReaderTest : public ::testing::Test {
 protected:
  JsonReader Reader(const std::string& text) {
    value_ = json::parse(text);
    return *JsonReader::Of(value_, "config.json");
  }

  json value_;
};

TEST_F(JsonReaderTest, ReadsByType) {
  const JsonReader reader =
      Reader(R"({"i":7,"d":0.5,"b":true,"s":"x","o":{"k":1},"a":[1,2]})");
  EXPECT_EQ(reader.GetInt("i", 0, 10).value(), 7);
  EXPECT_EQ(reader.GetDouble("d", 0, 1).value(), 0.5);
  EXPECT_EQ(reader.GetDouble("i", 0, 10).value(), 7.0);
  EXPECT_EQ(reader.GetBool("b").value(), true);
  EXPECT_EQ(reader.GetString("s").value(), "x");
  EXPECT_EQ(reader.GetObject("o")->GetInt("k", 0, 1).value(), 1);
  EXPECT_EQ((*reader.GetArray("a"))->size(), 2u);
}

TEST_F(JsonReaderTest, MessagesTellOriginPathExpectationAndValue) {
  const JsonReader reader = Reader(
      R"({"hidden_size":"abc","x":{"n":-1,"d":4.0},"u":18446744073709551615})");
  EXPECT_THAT(reader.GetInt("hidden_size", 1, 1048576),
              StatusIs(kInvalid,
                       "config.json: hidden_size: expected an integer"
                       " in [1, 1048576], got \"abc\""));
  EXPECT_THAT(reader.GetInt("layers", 1, 9),
              StatusIs(kInvalid,
                       "config.json: layers: missing; expected an "
                       "integer in [1, 9]"));
  ASSERT_OK_AND_ASSIGN(const JsonReader inner, reader.GetObject("x"));
  EXPECT_THAT(
      inner.GetDouble("n", 0, 1),
      StatusIs(kInvalid,
               "config.json: x.n: expected a number in [0, 1], got -1"));
  EXPECT_THAT(inner.GetInt("d", 0, 9), StatusIs(kInvalid, HasSubstr("got 4")));
  EXPECT_THAT(reader.GetInt("u", 0, INT64_MAX),
              StatusIs(kInvalid, HasSubstr("got 18446744073709551615")));
  EXPECT_THAT(reader.GetBool("x"),
              StatusIs(kInvalid, HasSubstr("true or false, got an object")));
  EXPECT_THAT(reader.GetObject("u"), StatusIs(kInvalid, HasSubstr("object")));
  EXPECT_THAT(reader.GetArray("u"), StatusIs(kInvalid, HasSubstr("array")));
}

TEST_F(JsonReaderTest, OptionalMembersDefaultOnlyWhenAbsentOrNull) {
  const JsonReader reader = Reader(R"({"null":null,"wrong":[]})");
  for (const char* key : {"absent", "null"}) {
    EXPECT_FALSE(reader.Has(key));
    EXPECT_EQ(reader.GetIntOr(key, 5, 0, 9).value(), 5);
    EXPECT_EQ(reader.GetDoubleOr(key, 0.5, 0, 9).value(), 0.5);
    EXPECT_EQ(reader.GetBoolOr(key, true).value(), true);
    EXPECT_EQ(reader.GetStringOr(key, "d").value(), "d");
    EXPECT_FALSE(reader.FindObject(key)->has_value());
  }
  EXPECT_THAT(reader.GetIntOr("wrong", 5, 0, 9),
              StatusIs(kInvalid, HasSubstr("got an array of 0")));
  EXPECT_FALSE(reader.GetDoubleOr("wrong", 5, 0, 9).ok());
  EXPECT_FALSE(reader.GetBoolOr("wrong", true).ok());
  EXPECT_FALSE(reader.GetStringOr("wrong", "").ok());
  EXPECT_FALSE(reader.FindObject("wrong").ok());
}

TEST_F(JsonReaderTest, OnlyObjectsCanBeRead) {
  const json array = json::array();
  EXPECT_THAT(
      JsonReader::Of(array, "f", "x.y"),
      StatusIs(kInvalid, "f: x.y: expected an object, got an array of 0"));
}

}  // namespace
}  // namespace quantd::test
