#include <functional>
#include <string>
#include <vector>

#include "models/tokenizer.h"
#include "nlohmann/json.hpp"
#include "tests/models/malformed_input.h"
#include "tests/testing/small_tokenizer.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;

// A valid file with one thing changed.
std::string Changed(const std::function<void(json&)>& change) {
  json file = SmallTokenizer({{"a", "b"}});
  file["added_tokens"] = json::array({AddedTokenJson(300, "<s>")});
  change(file);
  return file.dump();
}

// `value` (a JSON text) at a JSON pointer.
std::string With(const std::string& pointer, const std::string& value) {
  return Changed([&](json& file) {
    file[json::json_pointer(pointer)] = json::parse(value);
  });
}

std::string Split(const std::string& members) {
  return With("/pre_tokenizer",
              R"({"type":"Sequence","pretokenizers":[{"type":"Split",)" +
                  members + R"(},{"type":"ByteLevel"}]})");
}

std::string Regex(const std::string& regex) {
  return Split(R"("behavior":"Isolated","pattern":{"Regex":")" + regex + "\"}");
}

std::vector<MalformedInput> BrokenSyntax() {
  return {
      {"Empty", "", "byte 1"},
      {"IsAnArray", "[]", "expected an object"},
      {"Truncated", Changed([](json&) {}).substr(0, 500), "byte 501"},
      {"NotUtf8", "{\"model\":\"\xC3\"}", "UTF-8"},
      {"DuplicateToken",
       R"({"model":{"type":"BPE","vocab":{"a":0,"a":1},"merges":[]}})",
       "\"a\" appears twice"},
      {"NestedDeeply", std::string(100000, '['), "levels deep"},
      {"NoModel", Changed([](json& file) { file.erase("model"); }),
       "model: missing"},
      {"ModelIsAString", With("/model", "\"BPE\""),
       "model: expected an object"},
  };
}

std::vector<MalformedInput> BrokenModels() {
  return {
      {"NoTypeAndNoMerges", With("/model", R"({"vocab":{}})"),
       "model.type: missing"},
      {"Unigram", With("/model/type", "\"Unigram\""),
       "model.type: \"Unigram\" is not supported", kUnimplemented},
      {"WordPiece", With("/model/type", "\"WordPiece\""),
       "model.type: \"WordPiece\" is not supported", kUnimplemented},
      {"BpeOverCharacters", With("/pre_tokenizer", "null"),
       "\"BPE\" without a ByteLevel", kUnimplemented},
      {"ByteFallback", With("/model/byte_fallback", "true"),
       "model.byte_fallback", kUnimplemented},
      {"Dropout", With("/model/dropout", "0.1"), "model.dropout",
       kUnimplemented},
      {"WordSuffix", With("/model/end_of_word_suffix", "\"</w>\""),
       "model.end_of_word_suffix: \"</w>\"", kUnimplemented},
      {"SubwordPrefix", With("/model/continuing_subword_prefix", "\"##\""),
       "model.continuing_subword_prefix", kUnimplemented},
      {"NoVocabulary",
       Changed([](json& file) { file["model"].erase("vocab"); }),
       "model.vocab: missing"},
      {"EmptyVocabulary", With("/model/vocab", "{}"), "model.vocab: empty"},
      {"VocabularyIsAnArray", With("/model/vocab", "[[\"a\",1]]"),
       "model.vocab: expected an object"},
      {"IdIsAString", With("/model/vocab/zz", "\"7\""),
       "model.vocab.\"zz\": expected an id"},
      {"IdIsNegative", With("/model/vocab/zz", "-1"), "got -1"},
      {"IdIsFractional", With("/model/vocab/zz", "1.5"), "got 1.5"},
      {"IdIsTooLarge", With("/model/vocab/zz", "10000000"), "got 10000000"},
      {"IdBeyondInt64", With("/model/vocab/zz", "18446744073709551615"),
       "got 18446744073709551615"},
      {"IdUsedTwice", With("/model/vocab/zz", "256"),
       "id 256 belongs to another token"},
      {"ByteWithoutToken",
       Changed([](json& file) { file["model"]["vocab"].erase("x"); }),
       "no token for byte 0x78 (\"x\") and no unk_token"},
      {"UnknownTokenNotInVocabulary", With("/model/unk_token", "\"<unk>\""),
       "model.unk_token: \"<unk>\" is not in the vocabulary"},
      {"UnknownTokenIsANumber", With("/model/unk_token", "0"),
       "model.unk_token: expected a string"},
      {"NoMerges", Changed([](json& file) { file["model"].erase("merges"); }),
       "model.merges: missing"},
      {"MergesIsAString", With("/model/merges", "\"a b\""),
       "model.merges: expected an array"},
      {"MergeOfOneToken", With("/model/merges/0", "\"ab\""),
       "model.merges[0]: expected two tokens, got \"ab\""},
      {"MergeOfThreeTokens", With("/model/merges/0", "\"a b c\""),
       "expected two tokens"},
      {"MergeWithAnEmptySide", With("/model/merges/0", "\"a \""),
       "expected two tokens"},
      {"MergeArrayOfThree", With("/model/merges/0", R"(["a","b","c"])"),
       "expected two tokens, got an array of 3"},
      {"MergeOfNumbers", With("/model/merges/0", "[1,2]"),
       "expected two tokens"},
      {"MergeOfAnUnknownToken", With("/model/merges/0", "\"a yz\""),
       "model.merges[0]: \"yz\" is not in the vocabulary"},
      {"MergeToAnUnknownToken", With("/model/merges/0", "\"b a\""),
       "its result \"ba\" is not in the vocabulary"},
      {"IgnoreMergesIsANumber", With("/model/ignore_merges", "1"),
       "model.ignore_merges: expected true or false, got 1"},
  };
}

std::vector<MalformedInput> BrokenSteps() {
  return {
      {"NormalizerLowercase", With("/normalizer", R"({"type":"Lowercase"})"),
       "normalizer.type: \"Lowercase\"", kUnimplemented},
      {"NormalizerInSequence",
       With("/normalizer",
            R"({"type":"Sequence","normalizers":[{"type":"NFC"},
               {"type":"Prepend","prepend":"x"}]})"),
       "normalizer.normalizers[1].type: \"Prepend\"", kUnimplemented},
      {"NormalizerIsAString", With("/normalizer", "\"NFC\""),
       "normalizer: expected an object"},
      {"NormalizerWithoutType", With("/normalizer", "{}"),
       "normalizer.type: missing"},
      {"PreTokenizerMetaspace",
       With("/pre_tokenizer", R"({"type":"Metaspace"})"),
       "pre_tokenizer.type: \"Metaspace\"", kUnimplemented},
      {"StepBehindByteLevel",
       With("/pre_tokenizer",
            R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},
               {"type":"Digits"}]})"),
       "pretokenizers[1].type: \"Digits\" behind", kUnimplemented},
      {"TooManySteps", Changed([](json& file) {
         json steps = json::array();
         for (int i = 0; i < 1000; ++i) steps.push_back({{"type", "Digits"}});
         file["pre_tokenizer"] = {{"type", "Sequence"},
                                  {"pretokenizers", steps}};
       }),
       "more than 64 steps"},
      {"PrefixSpaceIsAString",
       With("/pre_tokenizer/add_prefix_space", "\"yes\""),
       "pre_tokenizer.add_prefix_space: expected true or false"},
      {"RegexDoesNotCompile", Regex("a(b"),
       "pattern.Regex: pattern \"a(b\" does not compile: missing closing "
       "parenthesis at offset 3"},
      {"RegexIsEmpty", Regex(""), "pattern.Regex: empty"},
      {"RegexIsTooLong", Regex(std::string(100000, 'a')), "does not compile"},
      {"RegexNestedTooDeeply", Regex(std::string(10000, '(')),
       "does not compile"},
      {"RegexOfAnotherMeaning", Regex("a{1,2}+"), "behind an interval",
       kUnimplemented},
      {"SplitWithoutBehavior", Split(R"("pattern":{"String":"a"})"),
       "behavior: missing"},
      {"SplitUnknownBehavior",
       Split(R"("behavior":"Dropped","pattern":{"String":"a"})"),
       "unknown behavior \"Dropped\""},
      {"SplitWithoutPattern", Split(R"("behavior":"Isolated")"),
       "pattern: missing"},
      {"SplitWithTwoPatterns",
       Split(R"("behavior":"Isolated","pattern":{"String":"a","Regex":"a"})"),
       "either \"Regex\" or \"String\""},
      {"PostProcessorBert",
       With("/post_processor", R"({"type":"BertProcessing"})"),
       "post_processor.type: \"BertProcessing\"", kUnimplemented},
      {"TemplateWithoutItsToken",
       With("/post_processor",
            R"({"type":"TemplateProcessing","special_tokens":{},
               "single":[{"SpecialToken":{"id":"<s>"}}]})"),
       "post_processor.special_tokens.<s>: missing"},
      {"TemplateWithBadIds",
       With("/post_processor",
            R"({"type":"TemplateProcessing",
               "special_tokens":{"<s>":{"ids":["0"]}},
               "single":[{"SpecialToken":{"id":"<s>"}}]})"),
       "<s>.ids: expected token ids"},
      {"TemplateOfNothingKnown",
       With("/post_processor",
            R"({"type":"TemplateProcessing","single":[{}]})"),
       "single[0].Sequence: missing"},
      {"DecoderReplace", With("/decoder", R"({"type":"Replace"})"),
       "decoder.type: \"Replace\"", kUnimplemented},
      {"DecoderInSequence",
       With("/decoder", R"({"type":"Sequence","decoders":[{"type":"CTC"}]})"),
       "decoder.decoders[0].type: \"CTC\"", kUnimplemented},
  };
}

std::vector<MalformedInput> BrokenAddedTokens() {
  return {
      {"AddedTokensIsAnObject", With("/added_tokens", "{}"),
       "added_tokens: expected an array"},
      {"AddedTokenIsAString", With("/added_tokens/0", "\"<s>\""),
       "added_tokens[0]: expected an object"},
      {"AddedTokenWithoutId", With("/added_tokens/0", R"({"content":"x"})"),
       "added_tokens[0].id: missing"},
      {"AddedTokenWithoutContent", With("/added_tokens/0", R"({"id":300})"),
       "added_tokens[0].content: missing"},
      {"AddedTokenIsEmpty", With("/added_tokens/0/content", "\"\""),
       "added_tokens[0].content: empty"},
      {"AddedTokenIdTooLarge", With("/added_tokens/0/id", "10000000"),
       "added_tokens[0].id: expected an integer in [0, 9999999]"},
      {"AddedTokenFlagIsANumber", With("/added_tokens/0/special", "1"),
       "added_tokens[0].special: expected true or false"},
      {"AddedTokensShareAnId",
       With("/added_tokens/1", R"({"id":300,"content":"x y"})"),
       "added_tokens[1].id: 300 belongs to an earlier entry"},
      {"AddedTokensShareTheirContent",
       With("/added_tokens/1", R"({"id":301,"content":"<s>"})"),
       "added_tokens[1].content: \"<s>\" is an earlier entry"},
      {"AddedTokenTakesTheIdOfAModelToken", With("/added_tokens/0/id", "256"),
       "id 256 of \"<s>\" belongs to another token in model.vocab"},
      {"AddedTokenContradictsTheModel",
       With("/added_tokens/0/content", "\"ab\""),
       "\"ab\" has id 300 here and 256 in model.vocab"},
  };
}

class MalformedTokenizerTest : public ::testing::TestWithParam<MalformedInput> {
};

TEST_P(MalformedTokenizerTest, IsRefusedWithTheFileAndTheFault) {
  EXPECT_THAT(ParseTokenizer(GetParam().bytes, ""),
              StatusIs(GetParam().code, AllOf(HasSubstr("tokenizer.json: "),
                                              HasSubstr(GetParam().fault))));
}

INSTANTIATE_TEST_SUITE_P(Syntax, MalformedTokenizerTest,
                         ::testing::ValuesIn(BrokenSyntax()),
                         MalformedInputName);
INSTANTIATE_TEST_SUITE_P(Model, MalformedTokenizerTest,
                         ::testing::ValuesIn(BrokenModels()),
                         MalformedInputName);
INSTANTIATE_TEST_SUITE_P(Steps, MalformedTokenizerTest,
                         ::testing::ValuesIn(BrokenSteps()),
                         MalformedInputName);
INSTANTIATE_TEST_SUITE_P(AddedTokens, MalformedTokenizerTest,
                         ::testing::ValuesIn(BrokenAddedTokens()),
                         MalformedInputName);

class WellFormedTokenizerTest
    : public ::testing::TestWithParam<MalformedInput> {};

TEST_P(WellFormedTokenizerTest, IsTaken) {
  EXPECT_THAT(ParseTokenizer(GetParam().bytes, ""), IsOk());
}

INSTANTIATE_TEST_SUITE_P(
    Table, WellFormedTokenizerTest,
    ::testing::ValuesIn(std::vector<MalformedInput>{
        {"Unchanged", Changed([](json&) {}), ""},
        {"NullMembers", Changed([](json& file) {
           for (const char* key : {"added_tokens", "decoder", "truncation"}) {
             file[key] = nullptr;
           }
           for (const char* key :
                {"dropout", "unk_token", "continuing_subword_prefix",
                 "end_of_word_suffix", "ignore_merges"}) {
             file["model"][key] = nullptr;
           }
         }),
         ""},
        {"EmptyAffixes", With("/model/continuing_subword_prefix", "\"\""), ""},
        {"NoMerges", With("/model/merges", "[]"), ""},
        {"MergeTwice", With("/model/merges", R"(["a b","a b"])"), ""},
        {"GapInTheIds", With("/model/vocab/zz", "9999999"), ""},
        {"TokenOutsideOfTheAlphabet", With("/model/vocab/ ", "400"), ""},
        {"AddedTokenThatIsAModelToken",
         With("/added_tokens/1", R"({"id":256,"content":"ab"})"), ""},
        {"EmptySequences", Changed([](json& file) {
           file["normalizer"] = {{"type", "Sequence"},
                                 {"normalizers", json::array()}};
           file["post_processor"] = {{"type", "Sequence"},
                                     {"processors", json::array()}};
           file["decoder"] = {{"type", "Sequence"},
                              {"decoders", json::array()}};
         }),
         ""},
        {"TruncationAndPaddingAreTheCallers",
         With("/truncation", R"({"max_length":512})"), ""},
    }),
    MalformedInputName);

}  // namespace
}  // namespace quantd::test
