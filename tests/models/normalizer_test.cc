#include "models/tokenizers/normalizer.h"

#include <utf8proc.h>

#include <cstdlib>
#include <random>
#include <string>

#include "base/utf8.h"
#include "nlohmann/json.hpp"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

absl::StatusOr<std::string> Normalize(const std::string& member,
                                      const std::string& text) {
  const nlohmann::json file = {{"normalizer", nlohmann::json::parse(member)}};
  ASSIGN_OR_RETURN(const JsonReader reader, JsonReader::Of(file, "f"));
  ASSIGN_OR_RETURN(const Normalizer normalizer, Normalizer::Create(reader));
  return normalizer.Apply(text);
}

TEST(NormalizerTest, FormsComposeAndDecompose) {
  const std::string composed = "\xC3\xA9";     // e with acute
  const std::string decomposed = "e\xCC\x81";  // e, combining acute
  const std::string ligature = "\xEF\xAC\x81";
  EXPECT_EQ(Normalize(R"({"type":"NFC"})", decomposed).value(), composed);
  EXPECT_EQ(Normalize(R"({"type":"NFD"})", composed).value(), decomposed);
  EXPECT_EQ(Normalize(R"({"type":"NFC"})", ligature).value(), ligature);
  EXPECT_EQ(Normalize(R"({"type":"NFKC"})", ligature + decomposed).value(),
            "fi" + composed);
  EXPECT_EQ(Normalize(R"({"type":"NFKD"})", ligature + composed).value(),
            "fi" + decomposed);
}

TEST(NormalizerTest, SequencesApplyInOrder) {
  EXPECT_EQ(Normalize(R"({"type":"Sequence","normalizers":[{"type":"NFD"},
                          {"type":"NFC"}]})",
                      "\xC3\xA9")
                .value(),
            "\xC3\xA9");
  EXPECT_EQ(Normalize("null", "e\xCC\x81").value(), "e\xCC\x81");
}

TEST(NormalizerTest, KeepsTextAroundTheRunsItChanges) {
  const std::string text("\0a\xCC\x81 b\n\xE2\x84\xAB", 10);
  EXPECT_EQ(Normalize(R"({"type":"NFC"})", text).value(),
            std::string("\0\xC3\xA1 b\n\xC3\x85", 8));
  EXPECT_EQ(Normalize(R"({"type":"NFC"})", "").value(), "");
}

// The run-by-run work must equal normalizing the whole text at once.
TEST(NormalizerTest, EqualsNormalizingTheWholeText) {
  std::mt19937 random(7);
  const char32_t alphabet[] = {'a',    'e',    ' ',    '\n',   0x301,  0x327,
                               0xE9,   0x1100, 0x1161, 0x11A8, 0xAC00, 0xFB01,
                               0x2126, 0x3099, 0x304B, 0x1D15E};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    const size_t length = random() % 12;
    for (size_t i = 0; i < length; ++i) {
      AppendUtf8(alphabet[random() % std::size(alphabet)], &text);
    }
    for (const auto& [type, options] :
         {std::pair<std::string, int>{"NFC", UTF8PROC_COMPOSE},
          {"NFD", UTF8PROC_DECOMPOSE},
          {"NFKC", UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
          {"NFKD", UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT}}) {
      utf8proc_uint8_t* whole = nullptr;
      const utf8proc_ssize_t size = utf8proc_map(
          reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
          static_cast<utf8proc_ssize_t>(text.size()), &whole,
          static_cast<utf8proc_option_t>(UTF8PROC_STABLE | options));
      ASSERT_GE(size, 0);
      EXPECT_EQ(Normalize("{\"type\":\"" + type + "\"}", text).value(),
                std::string(reinterpret_cast<const char*>(whole),
                            static_cast<size_t>(size)));
      std::free(whole);
    }
  }
}

TEST(NormalizerTest, LongRunsFit) {
  std::string text;
  std::string expected;
  for (int i = 0; i < 5000; ++i) {
    text += "\xE1\x84\x80\xE1\x85\xA1";  // two letters of one syllable
    expected += "\xEA\xB0\x80";
  }
  EXPECT_EQ(Normalize(R"({"type":"NFC"})", text).value(), expected);
}

TEST(NormalizerTest, LowercaseGoesByCharacter) {
  const std::string member = R"({"type":"Lowercase"})";
  EXPECT_EQ(Normalize(member, "ABC \xC3\x89").value(), "abc \xC3\xA9");
  // I with a dot; a sigma that ends a word stays a plain one.
  EXPECT_EQ(Normalize(member, "\xC4\xB0").value(), "i\xCC\x87");
  EXPECT_EQ(Normalize(member, "\xCE\xA3\xCE\xA3").value(), "\xCF\x83\xCF\x83");
}

TEST(NormalizerTest, StripTakesWhiteSpaceFromTheEnds) {
  EXPECT_EQ(Normalize(R"({"type":"Strip"})", " \xC2\xA0 a b\n").value(), "a b");
  EXPECT_EQ(Normalize(R"({"type":"Strip","strip_right":false})", " a ").value(),
            "a ");
  EXPECT_EQ(Normalize(R"({"type":"Strip","strip_left":false})", " a ").value(),
            " a");
  EXPECT_EQ(Normalize(R"({"type":"Strip"})", " \n").value(), "");
}

TEST(NormalizerTest, StripAccentsDropsMarks) {
  EXPECT_EQ(Normalize(R"({"type":"Sequence","normalizers":[{"type":"NFD"},
                          {"type":"StripAccents"}]})",
                      "\xC3\xA9\xC3\xB1")
                .value(),
            "en");
}

TEST(NormalizerTest, ReplaceTakesStringsAndRegexes) {
  EXPECT_EQ(Normalize(R"({"type":"Replace","pattern":{"String":"aa"},
                          "content":"b"})",
                      "aaaxa")
                .value(),
            "baxa");
  EXPECT_EQ(Normalize(R"({"type":"Replace","pattern":{"Regex":" {2,}"},
                          "content":" "})",
                      "a    b c")
                .value(),
            "a b c");
  EXPECT_EQ(Normalize(R"({"type":"Replace","pattern":{"String":"."},
                          "content":""})",
                      "a.b")
                .value(),
            "ab");
}

TEST(NormalizerTest, PrependLeavesEmptyTextAlone) {
  const std::string member = R"({"type":"Prepend","prepend":"_"})";
  EXPECT_EQ(Normalize(member, "a").value(), "_a");
  EXPECT_EQ(Normalize(member, "").value(), "");
}

TEST(NormalizerTest, NmtCleansControlsAndSpaces) {
  EXPECT_EQ(Normalize(R"({"type":"Nmt"})",
                      "a\x01\tb\xE2\x80\x8B\xEF\xBB\xBF"
                      "c\x7F")
                .value(),
            "a b  c");
}

TEST(NormalizerTest, BertCleansSpacesAndLowers) {
  const std::string member = R"({"type":"BertNormalizer"})";
  EXPECT_EQ(Normalize(member, "H\xC3\xA9llo\tW\x01orld\v!").value(),
            "hello world!");
  EXPECT_EQ(Normalize(member, "a\xE4\xB8\xAD\xE2\x80\x8B").value(),
            "a \xE4\xB8\xAD ");
  EXPECT_EQ(Normalize(R"({"type":"BertNormalizer","lowercase":false})",
                      "\xC3\x89t\xC3\xA9")
                .value(),
            "\xC3\x89t\xC3\xA9");
  EXPECT_EQ(Normalize(R"({"type":"BertNormalizer","strip_accents":false,
                          "clean_text":false,"handle_chinese_chars":false})",
                      "\xC3\x89\t\xE4\xB8\xAD")
                .value(),
            "\xC3\xA9\t\xE4\xB8\xAD");
}

TEST(NormalizerTest, ByteLevelSpellsBytes) {
  EXPECT_EQ(Normalize(R"({"type":"ByteLevel"})", "a \xC3\xA9").value(),
            "a\xC4\xA0\xC3\x83\xC2\xA9");
}

TEST(NormalizerTest, TellsWhetherTheStartIsDropped) {
  const auto drops = [](const std::string& member, const std::string& text) {
    const nlohmann::json file = {{"normalizer", nlohmann::json::parse(member)}};
    const auto reader = JsonReader::Of(file, "f");
    const auto normalizer = Normalizer::Create(*reader);
    bool result = false;
    EXPECT_THAT(normalizer->Apply(text, &result), IsOk());
    return result;
  };
  EXPECT_TRUE(drops(R"({"type":"Strip"})", " a"));
  EXPECT_FALSE(drops(R"({"type":"Strip"})", "a "));
  EXPECT_FALSE(drops(R"({"type":"Strip","strip_left":false})", " a"));
  EXPECT_TRUE(drops(R"({"type":"Nmt"})",
                    "\x01"
                    "a"));
  EXPECT_TRUE(drops(R"({"type":"StripAccents"})",
                    "\xCC\x81"
                    "a"));
  EXPECT_TRUE(drops(R"({"type":"BertNormalizer"})",
                    "\xE2\x80\x8B"
                    "a"));
  const std::string replace = R"({"type":"Replace","content":"","pattern":)";
  EXPECT_TRUE(drops(replace + R"({"String":"ab"}})", "abc"));
  EXPECT_FALSE(drops(replace + R"({"String":"b"}})", "abc"));
  EXPECT_TRUE(drops(replace + R"({"Regex":"^a"}})", "abc"));
  EXPECT_FALSE(drops(R"({"type":"Prepend","prepend":"_"})", "a"));
}

}  // namespace
}  // namespace quantd::test
