// The models behind tokenizer.json that are not byte-level; the byte-level one
// is tokenizer_test's.
#include "models/tokenizers/token_model.h"

#include <string>
#include <utility>
#include <vector>

#include "models/tokenizers/word_encoder.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using Ids = std::vector<int32_t>;

Ids Encode(const json& model, const std::string& word) {
  const json file = {{"model", model}};
  const auto reader = JsonReader::Of(file, "f");
  const auto created = NewTokenModel(*reader, WordForm::kText);
  EXPECT_THAT(created, IsOk());
  if (!created.ok()) return {};
  WordEncoder encoder(**created, word.size());
  if (!word.empty()) encoder.AddWord(word);
  return std::move(encoder).TakeIds();
}

// --- WordPiece ---

json Pieces(const std::vector<std::string>& tokens) {
  json vocabulary = json::object();
  for (size_t i = 0; i < tokens.size(); ++i) vocabulary[tokens[i]] = i;
  return {{"type", "WordPiece"}, {"vocab", vocabulary}};
}

TEST(WordPieceModelTest, TakesTheLongestTokenFirst) {
  const json model =
      Pieces({"[UNK]", "un", "una", "##able", "##aff", "##ble", "##ff"});
  EXPECT_THAT(Encode(model, "unaffable"), ElementsAre(2, 6, 3));
  EXPECT_THAT(Encode(model, "unable"), ElementsAre(2, 5));
}

TEST(WordPieceModelTest, AnUncoveredWordIsUnknownAsAWhole) {
  const json model = Pieces({"[UNK]", "un", "##do"});
  EXPECT_THAT(Encode(model, "undone"), ElementsAre(0));
  EXPECT_THAT(Encode(model, "do"), ElementsAre(0));
  EXPECT_THAT(Encode(model, "undo"), ElementsAre(1, 2));
}

TEST(WordPieceModelTest, LongWordsAreCountedInCharacters) {
  json model = Pieces({"[UNK]", "\xC3\xA9", "##\xC3\xA9"});
  model["max_input_chars_per_word"] = 2;
  EXPECT_THAT(Encode(model, "\xC3\xA9\xC3\xA9"), ElementsAre(1, 2));
  EXPECT_THAT(Encode(model, "\xC3\xA9\xC3\xA9\xC3\xA9"), ElementsAre(0));
}

TEST(WordPieceModelTest, TheAffixesHaveOtherNamesElsewhere) {
  json model = Pieces({"u", "a", "@b"});
  model["unk_token"] = "u";
  model["continuing_subword_prefix"] = "@";
  EXPECT_THAT(Encode(model, "ab"), ElementsAre(1, 2));
  EXPECT_THAT(Encode(model, "c"), ElementsAre(0));
}

// --- WordLevel ---

TEST(WordLevelModelTest, AWordIsATokenOrUnknown) {
  const json model = {{"type", "WordLevel"},
                      {"vocab", json::parse(R"({"u":3,"ab":7})")},
                      {"unk_token", "u"}};
  EXPECT_THAT(Encode(model, "ab"), ElementsAre(7));
  EXPECT_THAT(Encode(model, "a"), ElementsAre(3));
}

// --- Unigram ---

json Unigram(const std::vector<std::pair<std::string, double>>& pieces,
             bool byte_fallback = false) {
  json vocabulary = json::array();
  for (const auto& [piece, score] : pieces) {
    vocabulary.push_back(json::array({piece, score}));
  }
  return {{"type", "Unigram"},
          {"unk_id", 0u},
          {"vocab", vocabulary},
          {"byte_fallback", byte_fallback}};
}

TEST(UnigramModelTest, TakesTheBestSumOfScores) {
  const json model = Unigram({{"<unk>", 0.0},
                              {"ab", 0.0},
                              {"cd", -0.1},
                              {"abc", -0.2},
                              {"a", -0.3},
                              {"b", -0.4},
                              {"c", -0.5},
                              {"d", -0.6},
                              {"abcdef", -9.0}});
  EXPECT_THAT(Encode(model, "abcd"), ElementsAre(1, 2));
  EXPECT_THAT(Encode(model, "abcdef"), ElementsAre(8));
  EXPECT_THAT(Encode(model, "acd"), ElementsAre(4, 2));
}

TEST(UnigramModelTest, TheFirstOfEqualSumsStays) {
  // Both are -2: the path whose last piece begins first was there before.
  const json model =
      Unigram({{"<unk>", 0.0}, {"a", -1.0}, {"ba", -1.0}, {"ab", -1.0}});
  EXPECT_THAT(Encode(model, "aba"), ElementsAre(1, 2));
}

TEST(UnigramModelTest, UnknownCharactersFuse) {
  const json model = Unigram({{"<unk>", 0.0}, {"a", -1.0}});
  EXPECT_THAT(Encode(model, "xyaz"), ElementsAre(0, 1, 0));
}

TEST(UnigramModelTest, UnknownCharactersBecomeBytes) {
  const json model =
      Unigram({{"<unk>", 0.0}, {"<0xC3>", 0.0}, {"<0xA9>", 0.0}, {"a", -1.0}},
              /*byte_fallback=*/true);
  EXPECT_THAT(Encode(model, "a\xC3\xA9"), ElementsAre(3, 1, 2));
  // Not all of its bytes have tokens.
  EXPECT_THAT(Encode(model, "\xC3\xA8"), ElementsAre(0));
}

TEST(UnigramModelTest, LongTextsKeepNoMoreThanTheyNeed) {
  const json model =
      Unigram({{"<unk>", 0.0}, {"ab", -1.0}, {"a", -2.0}, {"b", -2.0}});
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "ab";
  EXPECT_EQ(Encode(model, text), Ids(100000, 1));
}

// --- byte pairs over characters ---

json Pairs(const std::vector<std::string>& tokens,
           const std::vector<std::string>& merges) {
  json vocabulary = json::object();
  for (size_t i = 0; i < tokens.size(); ++i) vocabulary[tokens[i]] = i;
  return {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", merges}};
}

TEST(CharacterPairModelTest, MergesCharacters) {
  const json model =
      Pairs({"a", "\xC3\xA9", "a\xC3\xA9"}, {"#version: 0.2", "a \xC3\xA9"});
  EXPECT_THAT(Encode(model, "aa\xC3\xA9"), ElementsAre(0, 2));
}

TEST(CharacterPairModelTest, UnknownCharacters) {
  json model = Pairs({"<unk>", "a", "aa"}, {"a a"});
  // Left out without an unknown token; the neighbours then merge.
  EXPECT_THAT(Encode(model, "axa"), ElementsAre(2));
  model["unk_token"] = "<unk>";
  EXPECT_THAT(Encode(model, "axya"), ElementsAre(1, 0, 0, 1));
  model["fuse_unk"] = true;
  EXPECT_THAT(Encode(model, "axya"), ElementsAre(1, 0, 1));
}

TEST(CharacterPairModelTest, UnknownCharactersBecomeBytes) {
  json model = Pairs({"<unk>", "a", "<0xC3>", "<0xA9>"}, {});
  model["unk_token"] = "<unk>";
  model["byte_fallback"] = true;
  EXPECT_THAT(Encode(model, "a\xC3\xA9"), ElementsAre(1, 2, 3));
  EXPECT_THAT(Encode(model, "a\xC3\xA8"), ElementsAre(1, 0));
}

TEST(CharacterPairModelTest, AffixesMarkTheInsideAndTheEndOfWords) {
  json model = Pairs({"a", "##b", "##c", "ab", "##bc"}, {"a ##b", "##b ##c"});
  model["continuing_subword_prefix"] = "##";
  EXPECT_THAT(Encode(model, "abc"), ElementsAre(3, 2));
  model = Pairs({"a", "b", "b</w>", "ab</w>", "ab"}, {"a b</w>", "a b"});
  model["end_of_word_suffix"] = "</w>";
  EXPECT_THAT(Encode(model, "abab"), ElementsAre(4, 3));
}

TEST(CharacterPairModelTest, IgnoreMergesTakesWholeWordsOnly) {
  const std::string word =
      "\xE2\x96\x81"
      "ab";
  json model = Pairs({"a", "b", "\xE2\x96\x81", word}, {});
  EXPECT_THAT(Encode(model, word), ElementsAre(2, 0, 1));
  model["ignore_merges"] = true;
  EXPECT_THAT(Encode(model, word), ElementsAre(3));
  // A part of a long word is no word.
  std::string text;
  for (int i = 0; i < 20; ++i) text += word;
  EXPECT_EQ(Encode(model, text).size(), 60u);
}

TEST(CharacterPairModelTest, PartsOfLongTextsEncodeLikeTheWhole) {
  // "b_" merges across the mark, so that there is no cut before it.
  json model = Pairs({"a", "b", "_", "\xE2\x96\x81", "b\xE2\x96\x81",
                      "\xE2\x96\x81"
                      "a"},
                     {"b \xE2\x96\x81", "\xE2\x96\x81 a"});
  std::string text;
  Ids expected;
  for (int i = 0; i < 50; ++i) {
    text += "ab\xE2\x96\x81";
    expected.insert(expected.end(), {0, 4});
  }
  EXPECT_EQ(Encode(model, text), expected);
}

TEST(NewTokenModelTest, OldFilesAreKnownByTheirMembers) {
  json model = Unigram({{"<unk>", 0.0}, {"a", -1.0}});
  model.erase("type");
  EXPECT_THAT(Encode(model, "a"), ElementsAre(1));
}

}  // namespace
}  // namespace quantd::test
