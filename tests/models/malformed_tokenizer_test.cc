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
      {"UnknownType", With("/model/type", "\"Mystery\""),
       "model.type: \"Mystery\" is not supported", kUnimplemented},
      {"Dropout", With("/model/dropout", "0.1"), "model.dropout",
       kUnimplemented},
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

std::vector<MalformedInput> BrokenModelsOfOtherTypes() {
  const auto model = [](const std::string& text) {
    return With("/model", text);
  };
  return {
      {"UnigramWithoutVocabulary", model(R"({"type":"Unigram","unk_id":0})"),
       "model.vocab: missing"},
      {"UnigramIsEmpty", model(R"({"type":"Unigram","unk_id":0,"vocab":[]})"),
       "model.vocab: empty"},
      {"UnigramPieceWithoutScore",
       model(R"({"type":"Unigram","unk_id":0,"vocab":[["a"]]})"),
       "model.vocab[0]: expected a piece and its score, got an array of 1"},
      {"UnigramScoreIsAString",
       model(R"({"type":"Unigram","unk_id":0,"vocab":[["a",0],["b","1"]]})"),
       "model.vocab[1]: expected a piece and its score"},
      {"UnigramVocabularyIsAnObject",
       model(R"({"type":"Unigram","unk_id":0,"vocab":{"a":1}})"),
       "model.vocab: expected an array"},
      {"UnigramWithoutUnknown",
       model(R"({"type":"Unigram","unk_id":null,"vocab":[["a",0]]})"),
       "model.unk_id: missing"},
      {"UnigramUnknownBeyondTheVocabulary",
       model(R"({"type":"Unigram","unk_id":1,"vocab":[["a",0]]})"),
       "model.unk_id: expected an integer in [0, 0], got 1"},
      {"WordPieceWithoutUnknown",
       model(R"({"type":"WordPiece","vocab":{"a":0}})"),
       "model.unk_token: \"[UNK]\" is not in the vocabulary"},
      {"WordPieceLimitIsNegative",
       model(R"({"type":"WordPiece","vocab":{"[UNK]":0},
                 "max_input_chars_per_word":-1})"),
       "model.max_input_chars_per_word: expected an integer in [1,"},
      {"WordPiecePrefixIsANumber",
       model(R"({"type":"WordPiece","vocab":{"[UNK]":0},
                 "continuing_subword_prefix":2})"),
       "model.continuing_subword_prefix: expected a string"},
      {"WordLevelWithoutUnknown",
       model(R"({"type":"WordLevel","vocab":{"a":0}})"),
       "model.unk_token: missing"},
      {"WordLevelUnknownIsNoToken",
       model(R"({"type":"WordLevel","vocab":{"a":0},"unk_token":"u"})"),
       "model.unk_token: \"u\" is not in the vocabulary"},
      {"PairsWithoutMerges",
       model(R"({"type":"BPE","vocab":{"a":0},"byte_fallback":true})"),
       "model.merges: missing"},
      {"PairShorterThanThePrefix",
       model(R"({"type":"BPE","vocab":{"a":0,"b":1,"ab":2},
                 "merges":["a b"],"continuing_subword_prefix":"##"})"),
       "model.merges[0]: the right token \"b\" is shorter than"},
      {"PairDropout",
       model(R"({"type":"BPE","vocab":{"a":0},"merges":[],"dropout":0.5,
                 "byte_fallback":true})"),
       "model.dropout", kUnimplemented},
  };
}

std::vector<MalformedInput> BrokenSteps() {
  return {
      {"NormalizerUnknown", With("/normalizer", R"({"type":"Mystery"})"),
       "normalizer.type: \"Mystery\"", kUnimplemented},
      {"NormalizerInSequence",
       With("/normalizer",
            R"({"type":"Sequence","normalizers":[{"type":"NFC"},
               {"type":"Mystery","prepend":"x"}]})"),
       "normalizer.normalizers[1].type: \"Mystery\"", kUnimplemented},
      {"PrependWithoutText", With("/normalizer", R"({"type":"Prepend"})"),
       "normalizer.prepend: missing"},
      {"ReplaceByANumber",
       With("/normalizer",
            R"({"type":"Replace","pattern":{"String":"a"},"content":1})"),
       "normalizer.content: expected a string"},
      {"ReplaceRegexDoesNotCompile",
       With("/normalizer",
            R"({"type":"Replace","pattern":{"Regex":"(a"},"content":""})"),
       "normalizer.pattern.Regex: pattern \"(a\" does not compile"},
      {"StripIsANumber",
       With("/normalizer", R"({"type":"Strip","strip_left":1})"),
       "normalizer.strip_left: expected true or false"},
      {"CharsmapIsMissing", With("/normalizer", R"({"type":"Precompiled"})"),
       "normalizer.precompiled_charsmap: missing"},
      {"CharsmapIsNotBase64",
       With("/normalizer",
            R"({"type":"Precompiled","precompiled_charsmap":"~~"})"),
       "normalizer.precompiled_charsmap: not base64"},
      {"CharsmapIsTooShort",
       With("/normalizer",
            R"({"type":"Precompiled","precompiled_charsmap":"AAA="})"),
       "precompiled_charsmap: a character table of 2 bytes"},
      {"CharsmapWithATrieOfAnOddSize",
       With("/normalizer",
            R"({"type":"Precompiled","precompiled_charsmap":"AwAAAAAAAAA="})"),
       "precompiled_charsmap: a character table with a trie of 3 bytes in the "
       "4 that follow"},
      {"CharsmapWithATrieBeyondItsEnd",
       With("/normalizer",
            R"({"type":"Precompiled","precompiled_charsmap":"/////wAAAAA="})"),
       "a trie of 4294967295 bytes in the 4 that follow"},
      {"CharsmapWithBrokenStrings",
       With("/normalizer",
            R"({"type":"Precompiled",
               "precompiled_charsmap":"BAAAAAAAAABh/w=="})"),
       "precompiled_charsmap: a character table whose strings are not UTF-8 at "
       "byte 1"},
      {"MetaspaceOfTwoCharacters",
       With("/pre_tokenizer", R"({"type":"Metaspace","replacement":"__"})"),
       "pre_tokenizer.replacement: expected one character"},
      {"MetaspaceUnknownScheme",
       With("/pre_tokenizer",
            R"({"type":"Metaspace","prepend_scheme":"maybe"})"),
       "pre_tokenizer.prepend_scheme: unknown scheme \"maybe\""},
      {"MetaspaceContradiction",
       With("/pre_tokenizer",
            R"({"type":"Metaspace","prepend_scheme":"first",
               "add_prefix_space":false})"),
       "pre_tokenizer.add_prefix_space: false, but prepend_scheme is "
       "\"first\""},
      {"DelimiterOfTwoCharacters",
       With("/pre_tokenizer",
            R"({"type":"CharDelimiterSplit","delimiter":"ab"})"),
       "pre_tokenizer.delimiter: expected one character"},
      {"FixedLengthOfZero",
       With("/pre_tokenizer", R"({"type":"FixedLength","length":0})"),
       "pre_tokenizer.length: expected an integer in [1,"},
      {"PunctuationUnknownBehavior",
       With("/pre_tokenizer", R"({"type":"Punctuation","behavior":"Dropped"})"),
       "pre_tokenizer.behavior: unknown behavior \"Dropped\""},
      {"NormalizerIsAString", With("/normalizer", "\"NFC\""),
       "normalizer: expected an object"},
      {"NormalizerWithoutType", With("/normalizer", "{}"),
       "normalizer.type: missing"},
      {"PreTokenizerUnknown",
       With("/pre_tokenizer", R"({"type":"UnicodeScripts"})"),
       "pre_tokenizer.type: \"UnicodeScripts\"", kUnimplemented},
      {"SpellingBehindSpelling",
       With("/pre_tokenizer",
            R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},
               {"type":"ByteLevel"}]})"),
       "pretokenizers[1].type: a second \"ByteLevel\"", kUnimplemented},
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
      {"PostProcessorUnknown", With("/post_processor", R"({"type":"Mystery"})"),
       "post_processor.type: \"Mystery\"", kUnimplemented},
      {"BertProcessingWithoutItsTokens",
       With("/post_processor", R"({"type":"BertProcessing"})"),
       "post_processor.cls: missing"},
      {"BertProcessingWithoutAnId",
       With("/post_processor",
            R"({"type":"RobertaProcessing","cls":["<s>"],"sep":["<s>",1]})"),
       "post_processor.cls: expected a token and its id"},
      {"TemplateWithoutTheText",
       With("/post_processor", R"({"type":"TemplateProcessing","single":[]})"),
       "post_processor.single: a template that holds the text 0 times",
       kUnimplemented},
      {"TemplateOfTheOtherText",
       With("/post_processor",
            R"({"type":"TemplateProcessing","single":[{"Sequence":
               {"id":"B"}}]})"),
       "single[0].Sequence.id: a single text is \"A\""},
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
      {"DecoderUnknown", With("/decoder", R"({"type":"Mystery"})"),
       "decoder.type: \"Mystery\"", kUnimplemented},
      {"DecoderInSequence",
       With("/decoder",
            R"({"type":"Sequence","decoders":[{"type":"Mystery"}]})"),
       "decoder.decoders[0].type: \"Mystery\"", kUnimplemented},
      {"DecoderReplaceWithoutPattern",
       With("/decoder", R"({"type":"Replace","content":"x"})"),
       "decoder.pattern: missing"},
      {"DecoderReplaceWithoutContent",
       With("/decoder", R"({"type":"Replace","pattern":{"String":"x"}})"),
       "decoder.content: missing"},
      {"DecoderStripOfTwoCharacters",
       With("/decoder", R"({"type":"Strip","content":"ab"})"),
       "decoder.content: expected one character"},
      {"DecoderStripOfANegativeNumber",
       With("/decoder", R"({"type":"Strip","content":"a","start":-1})"),
       "decoder.start: expected an integer in [0,"},
      {"DecoderSuffixIsEmpty",
       With("/decoder", R"({"type":"BPEDecoder","suffix":""})"),
       "decoder.suffix: empty"},
      {"DecoderPadIsEmpty",
       With("/decoder", R"({"type":"CTC","pad_token":""})"),
       "decoder.pad_token: empty"},
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
INSTANTIATE_TEST_SUITE_P(OtherModels, MalformedTokenizerTest,
                         ::testing::ValuesIn(BrokenModelsOfOtherTypes()),
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
