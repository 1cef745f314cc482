#include "models/tokenizers/token_decoder.h"

#include <string>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using nlohmann::json;

std::string Decode(const std::string& member,
                   const std::vector<std::string>& tokens,
                   WordForm form = WordForm::kText) {
  const json file = {{"decoder", json::parse(member)}};
  const auto reader = JsonReader::Of(file, "f");
  const auto decoder = TokenDecoder::Create(*reader, form);
  EXPECT_THAT(decoder, IsOk());
  if (!decoder.ok()) return "";
  DecodedPieces pieces;
  for (const std::string& token : tokens) pieces.push_back({token});
  return decoder->Decode(std::move(pieces)).value_or("failed");
}

TEST(TokenDecoderTest, ByteLevelReadsSpelledBytes) {
  const std::string member = R"({"type":"ByteLevel"})";
  EXPECT_EQ(Decode(member, {"a",
                            "\xC4\xA0"
                            "b"}),
            "a b");
  // U+00C3 U+00A9 spells e with acute.
  EXPECT_EQ(Decode(member, {"\xC3\x83", "\xC2\xA9"}), "\xC3\xA9");
  EXPECT_EQ(Decode(member, {"\xC3\x83"}), "\xEF\xBF\xBD");
  // A character that spells no byte: the token is text.
  EXPECT_EQ(Decode(member, {"a b"}), "a b");
}

TEST(TokenDecoderTest, ByteFallbackJoinsBytesToCharacters) {
  const std::string member = R"({"type":"ByteFallback"})";
  EXPECT_EQ(Decode(member, {"a", "<0xC3>", "<0xA9>", "b"}),
            "a\xC3\xA9"
            "b");
  EXPECT_EQ(Decode(member, {"<0xC3>", "b", "<0xA9>"}),
            "\xEF\xBF\xBD"
            "b"
            "\xEF\xBF\xBD");
  EXPECT_EQ(Decode(member, {"<0xc3>", "<0xa9>"}), "\xC3\xA9");
  EXPECT_EQ(Decode(member, {"<0xZZ>", "<0x123>"}), "<0xZZ><0x123>");
}

TEST(TokenDecoderTest, SequencesApplyInOrder) {
  EXPECT_EQ(Decode(R"({"type":"Sequence","decoders":[
                       {"type":"Replace","pattern":{"String":"_"},
                        "content":" "},
                       {"type":"Fuse"},
                       {"type":"Strip","content":" ","start":1,"stop":0}]})",
                   {"_a", "_b", "__"}),
            "a b  ");
}

TEST(TokenDecoderTest, StripTakesUpToSoManyFromEachPiece) {
  EXPECT_EQ(Decode(R"({"type":"Strip","content":"H","start":1,"stop":2})",
                   {"Hey", "HH", "HHH", "aHHH", ""}),
            "eyaH");
}

TEST(TokenDecoderTest, ReplaceTakesRegexes) {
  EXPECT_EQ(Decode(R"({"type":"Replace","pattern":{"Regex":"[ab]+"},
                       "content":"-"})",
                   {"xab", "ba", "c"}),
            "x--c");
}

TEST(TokenDecoderTest, MetaspaceDropsTheMarksOfTheFirstToken) {
  EXPECT_EQ(
      Decode(R"({"type":"Metaspace","replacement":"_"})", {"__a", "_b", "c"}),
      "a bc");
  EXPECT_EQ(Decode(R"({"type":"Metaspace","replacement":"_",
                       "prepend_scheme":"never"})",
                   {"_a", "_b"}),
            " a b");
}

TEST(TokenDecoderTest, WordPieceJoinsAndCleansUp) {
  EXPECT_EQ(Decode(R"({"type":"WordPiece","prefix":"##","cleanup":true})",
                   {"##un", "##do", "it", ".", "do", "n't"}),
            "##undo it. don't");
  EXPECT_EQ(Decode(R"({"type":"WordPiece","cleanup":false})", {"a", ".", "b"}),
            "a . b");
}

TEST(TokenDecoderTest, SuffixesBecomeSpacesBetweenWords) {
  EXPECT_EQ(Decode(R"({"type":"BPEDecoder"})", {"un", "do</w>", "it</w>"}),
            "undo it");
  EXPECT_EQ(Decode(R"({"type":"BPEDecoder"})", {}), "");
}

TEST(TokenDecoderTest, CtcCountsRepeatedTokensOnce) {
  EXPECT_EQ(Decode(R"({"type":"CTC"})", {"<pad>", "h", "h", "e", "l", "<pad>",
                                         "l", "o", "|", "|", "y"}),
            "hello y");
}

TEST(TokenDecoderTest, WithoutADecoderTokensAreWordsOrBytes) {
  EXPECT_EQ(Decode("null", {"a", "b"}), "a b");
  EXPECT_EQ(Decode("null",
                   {"a",
                    "\xC4\xA0"
                    "b"},
                   WordForm::kBytes),
            "a b");
}

}  // namespace
}  // namespace quantd::test
