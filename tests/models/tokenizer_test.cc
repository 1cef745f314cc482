#include "models/tokenizer.h"

#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/sha256.h"
#include "nlohmann/json.hpp"
#include "tests/testing/small_tokenizer.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Ids = std::vector<int32_t>;

std::unique_ptr<Tokenizer> Make(const json& file,
                                const std::string& config = "") {
  auto tokenizer = ParseTokenizer(file.dump(), config);
  EXPECT_THAT(tokenizer, IsOk());
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

Ids Encode(const json& file, const std::string& text) {
  const auto tokenizer = Make(file);
  const auto ids = tokenizer->Encode(text);
  EXPECT_THAT(ids, IsOk());
  return ids.value_or(Ids{});
}

TEST(TokenizerTest, MergesByRankThenFromTheLeft) {
  // 256 = "bc", 257 = "ab", 258 = "aa", 259 = "abc".
  const json file =
      SmallTokenizer({{"b", "c"}, {"a", "b"}, {"a", "a"}, {"ab", "c"}});
  EXPECT_THAT(Encode(file, "abc"), ElementsAre('a', 256));
  EXPECT_THAT(Encode(file, "ab"), ElementsAre(257));
  EXPECT_THAT(Encode(file, "aaa"), ElementsAre(258, 'a'));
  EXPECT_THAT(Encode(file, "aab"), ElementsAre('a', 257));
}

TEST(TokenizerTest, IgnoreMergesTakesWholeWordsFirst) {
  json file = SmallTokenizer({{"b", "c"}, {"ab", "c"}, {"a", "b"}});
  EXPECT_THAT(Encode(file, "abc"), ElementsAre('a', 256));
  file["model"]["ignore_merges"] = true;
  EXPECT_THAT(Encode(file, "abc"), ElementsAre(257));
  EXPECT_THAT(Encode(file, "abcd"), ElementsAre('a', 256, 'd'));
}

TEST(TokenizerTest, MergesMayBeArrays) {
  json file = SmallTokenizer({{"a", "b"}});
  file["model"]["merges"] = json::array({json::array({"a", "b"})});
  EXPECT_THAT(Encode(file, "ab"), ElementsAre(256));
}

TEST(TokenizerTest, TypeMayBeAbsentInOldFiles) {
  json file = SmallTokenizer({{"a", "b"}});
  file["model"].erase("type");
  EXPECT_THAT(Encode(file, "ab"), ElementsAre(256));
}

TEST(TokenizerTest, WordsOfOneTextDoNotMergeAcrossTheirBorders) {
  const json file = SmallTokenizer({{"a", " "}, {" ", "b"}});
  EXPECT_THAT(Encode(file, "a b"), ElementsAre('a', 257));
}

TEST(TokenizerTest, PrefixSpaceIsPutBeforeEachPartThatHasNone) {
  json file = SmallTokenizer({{" ", "a"}});
  file["pre_tokenizer"]["add_prefix_space"] = true;
  file["added_tokens"] = json::array({AddedTokenJson(300, "<x>")});
  EXPECT_THAT(Encode(file, "a"), ElementsAre(256));
  EXPECT_THAT(Encode(file, " a"), ElementsAre(256));
  EXPECT_THAT(Encode(file, "a<x>a"), ElementsAre(256, 300, 256));
  EXPECT_TRUE(Encode(file, "").empty());
}

TEST(TokenizerTest, UnknownBytesBecomeTheUnknownToken) {
  json file = SmallTokenizer({{"u", "n"}, {"un", "k"}});
  file["model"]["vocab"].erase("x");
  file["model"]["unk_token"] = "unk";
  EXPECT_THAT(Encode(file, "axxb"), ElementsAre('a', 257, 257, 'b'));
  file["model"]["fuse_unk"] = true;
  EXPECT_THAT(Encode(file, "axxb"), ElementsAre('a', 257, 'b'));
  EXPECT_THAT(Encode(file, "xa" + std::string(200, 'x') + "b"),
              ElementsAre(257, 'a', 257, 'b'));
}

TEST(TokenizerTest, BytesThatNoTextHoldsNeedNoToken) {
  json file = SmallTokenizer();
  for (const int byte : {0xC0, 0xC1, 0xF5, 0xFF}) {
    file["model"]["vocab"].erase(ByteLevelSymbol(static_cast<uint8_t>(byte)));
  }
  EXPECT_THAT(Encode(file, "a"), ElementsAre('a'));
}

TEST(TokenizerTest, LongWordsEncodeLikeShortOnes) {
  const json file = SmallTokenizer({{"a", "b"}, {"ab", "ab"}});
  std::string text;
  for (int i = 0; i < 10000; ++i) text += "abab";
  const Ids ids = Encode(file, text);
  EXPECT_EQ(ids, Ids(10000, 257));
}

TEST(TokenizerTest, AddedTokensAreFoundBeforeAndAfterNormalization) {
  json file = SmallTokenizer();
  file["normalizer"] = {{"type", "NFKC"}};
  json raw = AddedTokenJson(300, "\xEF\xAC\x81");          // the ligature fi
  json normalized = AddedTokenJson(301, "o\xEF\xAC\x81");  // sought as "ofi"
  normalized["normalized"] = true;
  file["added_tokens"] = {raw, normalized};
  EXPECT_THAT(Encode(file, "x\xEF\xAC\x81"), ElementsAre('x', 300));
  EXPECT_THAT(Encode(file, "ofi"), ElementsAre(301));
  // The verbatim token goes first, whatever stands around it.
  EXPECT_THAT(Encode(file, "o\xEF\xAC\x81"), ElementsAre('o', 300));
  EXPECT_THAT(Encode(file, "\xEF\xAC\x82"), ElementsAre('f', 'l'));
}

TEST(TokenizerTest, DecodingInvertsEncoding) {
  json file = SmallTokenizer({{"t", "h"}, {"th", "e"}, {" ", "the"}});
  json added = AddedTokenJson(300, "<a b>\xC4\xA0");
  file["added_tokens"] = json::array({added});
  const auto tokenizer = Make(file);
  for (const std::string& text :
       {std::string("the the\nthe"), std::string("<a b>\xC4\xA0the\xC4\xA0"),
        std::string("\0\x7F\xF0\x9F\x99\x82\xC2\xA0", 8), std::string()}) {
    ASSERT_OK_AND_ASSIGN(const Ids ids, tokenizer->Encode(text));
    EXPECT_EQ(tokenizer->Decode(ids).value(), text);
  }
}

TEST(TokenizerTest, DecodingHalfACharacterGivesValidText) {
  const auto tokenizer = Make(SmallTokenizer());
  EXPECT_EQ(tokenizer->Decode({'a', 0xC3}).value(), "a\xEF\xBF\xBD");
}

TEST(TokenizerTest, RefusesWhatItCannotEncodeOrDecode) {
  json file = SmallTokenizer();
  file["added_tokens"] = json::array({AddedTokenJson(300, "<x>")});
  const auto tokenizer = Make(file);
  EXPECT_EQ(tokenizer->vocabulary_size(), 301);
  EXPECT_THAT(tokenizer->Encode("ab\xFF"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not UTF-8 at byte 2")));
  for (const int32_t id : {-1, 299, 301, INT32_MAX, INT32_MIN}) {
    EXPECT_THAT(
        tokenizer->Decode({id}),
        StatusIs(absl::StatusCode::kOutOfRange, HasSubstr(std::to_string(id))));
  }
}

TEST(TokenizerTest, ManyThreadsMayEncodeAtOnce) {
  const auto tokenizer = Make(SmallTokenizer({{"a", "b"}, {"ab", "c"}}));
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "abc ab " + std::to_string(i % 50);
  const Ids expected = tokenizer->Encode(text).value();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back(
        [&] { EXPECT_EQ(tokenizer->Encode(text).value(), expected); });
  }
  for (std::thread& thread : threads) thread.join();
}

// --- sequence markers ---

json WithTemplate(int id) {
  json file = SmallTokenizer();
  file["added_tokens"] = {AddedTokenJson(300, "<s>"),
                          AddedTokenJson(301, "</s>")};
  file["post_processor"] = json::parse(
      R"({"type":"Sequence","processors":[{"type":"ByteLevel"},
          {"type":"TemplateProcessing",
           "single":[{"SpecialToken":{"id":"<s>","type_id":0}},
                     {"Sequence":{"id":"A","type_id":0}}],
           "special_tokens":{"<s>":{"id":"<s>","ids":[300]}}}]})");
  file["post_processor"]["processors"][1]["special_tokens"]["<s>"]["ids"] = {
      id};
  return file;
}

TEST(TokenizerMarkersTest, ComeFromTheConfig) {
  json file = WithTemplate(300);
  file["post_processor"] = nullptr;
  const auto plain = Make(file);
  EXPECT_EQ(plain->bos_id(), std::nullopt);
  EXPECT_EQ(plain->eos_id(), std::nullopt);
  EXPECT_FALSE(plain->adds_bos());
  const auto marked =
      Make(file, R"({"bos_token":"<s>","eos_token":{"content":"</s>"}})");
  EXPECT_EQ(marked->bos_id(), 300);
  EXPECT_EQ(marked->eos_id(), 301);
  EXPECT_FALSE(marked->adds_bos());
  EXPECT_TRUE(
      Make(file, R"({"bos_token":"<s>","add_bos_token":true})")->adds_bos());
}

TEST(TokenizerMarkersTest, ComeFromThePostProcessor) {
  const json file = WithTemplate(300);
  const auto tokenizer = Make(file);
  EXPECT_EQ(tokenizer->bos_id(), 300);
  EXPECT_TRUE(tokenizer->adds_bos());
  // Encode() itself never adds it.
  EXPECT_THAT(tokenizer->Encode("a").value(), ElementsAre('a'));
  // The config has the last word.
  EXPECT_FALSE(Make(file, R"({"add_bos_token":false})")->adds_bos());
}

TEST(TokenizerMarkersTest, ALeadingTokenNeedNotBeTheBos) {
  const auto tokenizer = Make(WithTemplate(300), R"({"bos_token":"</s>"})");
  EXPECT_EQ(tokenizer->bos_id(), 301);
  EXPECT_EQ(tokenizer->leading_id(), 300);
  EXPECT_THAT(tokenizer->EncodeWithBos("a").value(), ElementsAre(300, 'a'));
}

TEST(TokenizerMarkersTest, ThePrefixTokenIsTheBosElseTheEos) {
  json file = WithTemplate(300);
  EXPECT_EQ(*Make(file)->PrefixToken(), 300);
  EXPECT_EQ(*Make(file, R"({"bos_token":"</s>"})")->PrefixToken(), 301);
  file["post_processor"] = nullptr;
  EXPECT_EQ(
      *Make(file, R"({"bos_token":"<s>","eos_token":"</s>"})")->PrefixToken(),
      300);
  EXPECT_EQ(*Make(file, R"({"eos_token":"</s>"})")->PrefixToken(), 301);
  EXPECT_THAT(Make(file)->PrefixToken(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("neither a BOS nor an EOS")));
}

TEST(TokenizerMarkersTest, EncodeWithBosAddsWhatTheTokenizerAdds) {
  json file = WithTemplate(300);
  EXPECT_THAT(Make(file)->EncodeWithBos("").value(), ElementsAre(300));
  EXPECT_THAT(
      Make(file, R"({"add_bos_token":false})")->EncodeWithBos("a").value(),
      ElementsAre('a'));
  file["post_processor"] = nullptr;
  EXPECT_THAT(Make(file, R"({"bos_token":"<s>"})")->EncodeWithBos("a").value(),
              ElementsAre('a'));
  EXPECT_THAT(Make(file, R"({"bos_token":"</s>","add_bos_token":true})")
                  ->EncodeWithBos("a")
                  .value(),
              ElementsAre(301, 'a'));
}

TEST(TokenizerMarkersTest, SpecialTokensStandOnBothSides) {
  json file = WithTemplate(300);
  file["post_processor"] = {{"type", "BertProcessing"},
                            {"cls", {"<s>", 300}},
                            {"sep", {"</s>", 301}}};
  const auto tokenizer = Make(file);
  EXPECT_THAT(tokenizer->EncodeWithSpecialTokens("ab").value(),
              ElementsAre(300, 'a', 'b', 301));
  EXPECT_THAT(tokenizer->EncodeWithBos("ab").value(),
              ElementsAre(300, 'a', 'b'));
}

TEST(TokenizerMarkersTest, ATemplateWithoutALeadingTokenAddsNone) {
  json file = WithTemplate(300);
  file["post_processor"]["processors"][1]["single"].erase(0);
  EXPECT_FALSE(Make(file)->adds_bos());
}

TEST(TokenizerMarkersTest, ContradictionsAreRefused) {
  const auto expect = [](const json& file, const std::string& config,
                         absl::StatusCode code, const std::string& fault) {
    EXPECT_THAT(ParseTokenizer(file.dump(), config),
                StatusIs(code, HasSubstr(fault)));
  };
  using absl::StatusCode;
  expect(WithTemplate(302), "", StatusCode::kInvalidArgument,
         "post_processor: adds id 302, which is not in the vocabulary");
  expect(WithTemplate(300), R"({"bos_token":"<t>"})",
         StatusCode::kInvalidArgument,
         "tokenizer_config.json: bos_token: \"<t>\" is not in the vocabulary");
  expect(SmallTokenizer(), R"({"add_bos_token":true})",
         StatusCode::kInvalidArgument, "there is no bos_token");
  expect(SmallTokenizer(), R"({"eos_token":5})", StatusCode::kInvalidArgument,
         "eos_token: expected a string, got 5");
  expect(SmallTokenizer(), "[]", StatusCode::kInvalidArgument,
         "tokenizer_config.json: expected an object");
}

// --- files ---

TEST(LoadTokenizerTest, ReadsTheDirectory) {
  TempDir dir;
  EXPECT_THAT(LoadTokenizer(dir.path()), StatusIs(absl::StatusCode::kNotFound,
                                                  HasSubstr("tokenizer.json")));
  ASSERT_THAT(WriteFileDurably(dir.File("config.json"),
                               R"({"bos_token_id":7,"eos_token_id":[301,5]})"),
              IsOk());
  json file = WithTemplate(300);
  file["post_processor"] = nullptr;
  ASSERT_THAT(WriteFileDurably(dir.File("tokenizer.json"), file.dump()),
              IsOk());
  ASSERT_OK_AND_ASSIGN(const auto first, LoadTokenizer(dir.path()));
  EXPECT_EQ(first->bos_id(), 7);
  EXPECT_EQ(first->eos_id(), 301);
  EXPECT_EQ(first->digest(), Sha256Hex(file.dump()));
  // An explicit null in tokenizer_config.json beats config.json.
  ASSERT_THAT(WriteFileDurably(dir.File("tokenizer_config.json"),
                               R"({"bos_token":null,"eos_token":"<s>"})"),
              IsOk());
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadTokenizer(dir.path()));
  EXPECT_EQ(tokenizer->bos_id(), std::nullopt);
  EXPECT_EQ(tokenizer->eos_id(), 300);
}

TEST(LoadTokenizerTest, FaultsNameTheDirectory) {
  TempDir dir;
  ASSERT_THAT(WriteFileDurably(dir.File("tokenizer.json"), "{"), IsOk());
  EXPECT_THAT(LoadTokenizer(dir.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(dir.path() + ": tokenizer.json: byte 2")));
  ASSERT_THAT(
      WriteFileDurably(dir.File("tokenizer.json"), SmallTokenizer().dump()),
      IsOk());
  ASSERT_THAT(
      WriteFileDurably(dir.File("config.json"), R"({"bos_token_id":256})"),
      IsOk());
  EXPECT_THAT(LoadTokenizer(dir.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("config.json: bos_token_id: expected an id "
                                 "below 256, got 256")));
}

}  // namespace
}  // namespace quantd::test
