#include "models/tokenizers/pre_tokenizer.h"

#include <string>
#include <utility>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using Behavior = SplitBehavior;
using Words = std::vector<std::string>;

Words Split(const PreTokenizer& pre_tokenizer, const std::string& text) {
  Words words;
  PreTokenizer::Scratch scratch;
  EXPECT_THAT(pre_tokenizer.Split(
                  {text, /*at_start=*/true}, scratch,
                  [&](absl::string_view word) { words.emplace_back(word); }),
              IsOk());
  return words;
}

// `text` split at each '-' (or at everything else, if inverted).
Words AtDashes(Behavior behavior, bool invert, const std::string& text) {
  auto pattern = Pattern::CompileLiteral("-");
  EXPECT_THAT(pattern, IsOk());
  return Split(PreTokenizer::FromPattern(*std::move(pattern), behavior, invert),
               text);
}

// The member "pre_tokenizer" as JSON text. Bytes that the last step spells are
// shown as they are.
Words FromJson(const std::string& member, const std::string& text) {
  const nlohmann::json file = {
      {"pre_tokenizer", nlohmann::json::parse(member)}};
  const auto reader = JsonReader::Of(file, "f");
  auto pre_tokenizer = PreTokenizer::Create(*reader);
  EXPECT_THAT(pre_tokenizer, IsOk());
  if (!pre_tokenizer.ok()) return {};
  if (pre_tokenizer->ends_in_byte_spelling()) pre_tokenizer->DropByteSpelling();
  return Split(*pre_tokenizer, text);
}

constexpr char kText[] = "the-final--countdown";

TEST(PreTokenizerTest, BehaviorsTreatMatchesAsNamed) {
  EXPECT_THAT(AtDashes(Behavior::kIsolated, false, kText),
              ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(AtDashes(Behavior::kRemoved, false, kText),
              ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(AtDashes(Behavior::kMergedWithPrevious, false, kText),
              ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(AtDashes(Behavior::kMergedWithNext, false, kText),
              ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(AtDashes(Behavior::kContiguous, false, kText),
              ElementsAre("the", "-", "final", "--", "countdown"));
}

TEST(PreTokenizerTest, BehaviorsHoldAtTheEnds) {
  EXPECT_THAT(AtDashes(Behavior::kMergedWithPrevious, false, "-a-"),
              ElementsAre("-", "a-"));
  EXPECT_THAT(AtDashes(Behavior::kMergedWithNext, false, "-a-"),
              ElementsAre("-a", "-"));
  EXPECT_THAT(AtDashes(Behavior::kContiguous, false, "--"), ElementsAre("--"));
  EXPECT_THAT(AtDashes(Behavior::kContiguous, false, "ab"), ElementsAre("ab"));
  EXPECT_THAT(AtDashes(Behavior::kRemoved, false, "--"), ElementsAre());
  for (const Behavior behavior :
       {Behavior::kIsolated, Behavior::kRemoved, Behavior::kMergedWithPrevious,
        Behavior::kMergedWithNext, Behavior::kContiguous}) {
    EXPECT_THAT(AtDashes(behavior, false, ""), ElementsAre());
    EXPECT_THAT(AtDashes(behavior, false, "a"), ElementsAre("a"));
  }
}

TEST(PreTokenizerTest, InvertedPatternsMatchTheGaps) {
  EXPECT_THAT(AtDashes(Behavior::kRemoved, true, kText),
              ElementsAre("-", "-", "-"));
  EXPECT_THAT(AtDashes(Behavior::kMergedWithPrevious, true, kText),
              ElementsAre("the", "-final", "-", "-countdown"));
}

TEST(PreTokenizerTest, EmptyMatchesMakeNoEmptyWords) {
  auto pattern = Pattern::Compile("\\d*");
  ASSERT_THAT(pattern, IsOk());
  const PreTokenizer pre_tokenizer = PreTokenizer::FromPattern(
      *std::move(pattern), Behavior::kIsolated, false);
  EXPECT_THAT(Split(pre_tokenizer,
                    "\xC3\xA9"
                    "a12b"),
              ElementsAre("\xC3\xA9", "a", "12", "b"));
}

TEST(PreTokenizerTest, ByteLevelSplitsContractionsWordsNumbersAndBlanks) {
  EXPECT_THAT(FromJson(R"({"type":"ByteLevel","add_prefix_space":false})",
                       "I'll  pay $30\n\n"),
              ElementsAre("I", "'ll", " ", " pay", " $", "30", "\n\n"));
  EXPECT_THAT(
      FromJson(
          R"({"type":"ByteLevel","add_prefix_space":true,"use_regex":false})",
          "a b"),
      ElementsAre(" a b"));
}

TEST(PreTokenizerTest, DigitsSplitAloneOrTogether) {
  EXPECT_THAT(FromJson(R"({"type":"Digits","individual_digits":true})",
                       "a12\xC2\xBD"
                       "b"),
              ElementsAre("a", "1", "2", "\xC2\xBD", "b"));
  EXPECT_THAT(
      FromJson(R"({"type":"Digits","individual_digits":false})", "a12b"),
      ElementsAre("a", "12", "b"));
}

TEST(PreTokenizerTest, SequencesApplyEachStepToTheWordsOfTheLast) {
  EXPECT_THAT(FromJson(R"({"type":"Sequence","pretokenizers":[
                   {"type":"Split","pattern":{"String":"."},
                    "behavior":"Removed","invert":false},
                   {"type":"Sequence","pretokenizers":[{"type":"Digits"}]},
                   {"type":"ByteLevel","add_prefix_space":true,
                    "use_regex":false}]})",
                       "a1.b"),
              ElementsAre(" a", " 1", " b"));
}

TEST(PreTokenizerTest, NothingMeansTheWholeText) {
  EXPECT_THAT(FromJson("null", "a b"), ElementsAre("a b"));
}

TEST(PreTokenizerTest, WhiteSpaceSplitsInTwoWays) {
  const std::string text = "Hey man,\tit's  a_b \xC3\xA9!?";
  EXPECT_THAT(FromJson(R"({"type":"WhitespaceSplit"})", text),
              ElementsAre("Hey", "man,", "it's", "a_b", "\xC3\xA9!?"));
  EXPECT_THAT(
      FromJson(R"({"type":"Whitespace"})", text),
      ElementsAre("Hey", "man", ",", "it", "'", "s", "a_b", "\xC3\xA9", "!?"));
}

TEST(PreTokenizerTest, BertTakesSignsOneByOne) {
  EXPECT_THAT(FromJson(R"({"type":"BertPreTokenizer"})", " a!?  b\xE2\x80\xA6"),
              ElementsAre("a", "!", "?", "b", "\xE2\x80\xA6"));
}

TEST(PreTokenizerTest, PunctuationHasABehavior) {
  EXPECT_THAT(FromJson(R"({"type":"Punctuation"})", "a!?b"),
              ElementsAre("a", "!", "?", "b"));
  EXPECT_THAT(
      FromJson(R"({"type":"Punctuation","behavior":"Contiguous"})", "a!?b"),
      ElementsAre("a", "!?", "b"));
}

TEST(PreTokenizerTest, DelimitersAreRemoved) {
  EXPECT_THAT(
      FromJson(R"({"type":"CharDelimiterSplit","delimiter":"-"})", "a--b-"),
      ElementsAre("a", "b"));
}

TEST(PreTokenizerTest, FixedLengthCountsCharacters) {
  EXPECT_THAT(FromJson(R"({"type":"FixedLength","length":2})",
                       "\xC3\xA9"
                       "bcde"),
              ElementsAre("\xC3\xA9"
                          "b",
                          "cd", "e"));
}

TEST(PreTokenizerTest, MetaspaceMarksAndSplits) {
  const auto metaspace = [](const std::string& members) {
    return R"({"type":"Metaspace","replacement":"_")" + members + "}";
  };
  EXPECT_THAT(FromJson(metaspace(""), "a  b c"),
              ElementsAre("_a", "_", "_b", "_c"));
  EXPECT_THAT(FromJson(metaspace(""), " a"), ElementsAre("_a"));
  EXPECT_THAT(FromJson(metaspace(R"(,"prepend_scheme":"never")"), "a b"),
              ElementsAre("a", "_b"));
  EXPECT_THAT(FromJson(metaspace(R"(,"add_prefix_space":false)"), "a b"),
              ElementsAre("a", "_b"));
  EXPECT_THAT(FromJson(metaspace(R"(,"split":false)"), "a b"),
              ElementsAre("_a_b"));
  // "first" marks the first part only.
  EXPECT_THAT(FromJson(R"({"type":"Sequence","pretokenizers":[
                  {"type":"Split","pattern":{"String":"-"},
                   "behavior":"Removed"},)" +
                           metaspace(R"(,"prepend_scheme":"first")") + "]}",
                       "a-b"),
              ElementsAre("_a", "b"));
}

TEST(PreTokenizerTest, StepsBehindByteLevelSeeSpelledBytes) {
  EXPECT_THAT(
      FromJson(R"({"type":"Sequence","pretokenizers":[
                          {"type":"ByteLevel","add_prefix_space":false},
                          {"type":"Digits","individual_digits":true}]})",
               "a 12 \xC3\xA9"),
      ElementsAre("a", "\xC4\xA0", "1", "2", "\xC4\xA0\xC3\x83\xC2\xA9"));
}

}  // namespace
}  // namespace quantd::test
