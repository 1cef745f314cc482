#include "evaluators/wikitext_documents.h"

#include "base/file.h"
#include "evaluators/pattern_space.h"
#include "gmock/gmock.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(WikitextDocumentsTest, OnlyHeadingsOfTheFirstLevelCount) {
  for (const char* line : {" = Title = ", " = ab = ", " = a=b = ",
                           " = \u00e9\u00e9 = ", " =    = ", " = a = b = "}) {
    EXPECT_TRUE(IsWikitextHeading(line)) << line;
  }
  for (const char* line :
       {"", " ", " = = Section = = ", " = = = Part = = = ", "= Title = ",
        " = Title =", " = a = ", " = \u00e9 = ", " = = ", " =  = ", " = ",
        " = =a = ", " = a= = ", "x = Title = ", " = Title = x"}) {
    EXPECT_FALSE(IsWikitextHeading(line)) << line;
  }
}

TEST(WikitextDocumentsTest, ADocumentReachesToTheNextHeading) {
  EXPECT_THAT(WikitextDocuments(" \n = One = \n \n text \n = = Part = = \n x \n"
                                " = Two = \n y \n"),
              ElementsAre(" = One = \n \n text \n = = Part = = \n x ",
                          " = Two = \n y \n"));
}

TEST(WikitextDocumentsTest, WhatPrecedesTheFirstHeadingIsDropped) {
  EXPECT_THAT(WikitextDocuments("preface \n = One = "),
              ElementsAre(" = One = "));
  EXPECT_THAT(WikitextDocuments("no heading at all\n"), IsEmpty());
  EXPECT_THAT(WikitextDocuments(""), IsEmpty());
  EXPECT_THAT(WikitextDocuments("\n\n"), IsEmpty());
}

TEST(WikitextDocumentsTest, HeadingsAloneAreDocuments) {
  EXPECT_THAT(WikitextDocuments(" = One = \n = Two = \n = Three = \n"),
              ElementsAre(" = One = ", " = Two = ", " = Three = \n"));
}

TEST(PatternSpaceTest, PiecesAreOneMoreThanRuns) {
  EXPECT_EQ(CountPieces(""), 1u);
  EXPECT_EQ(CountPieces("word"), 1u);
  EXPECT_EQ(CountPieces(" "), 2u);
  EXPECT_EQ(CountPieces(" two words "), 4u);
  EXPECT_EQ(CountPieces("a \n\t b"), 2u);
  EXPECT_EQ(CountPieces("a\u00a0b\u3000c\x1d"
                        "d"),
            4u);
}

TEST(PatternSpaceTest, StrippingLeavesTheMiddle) {
  EXPECT_EQ(StripPatternSpace(""), "");
  EXPECT_EQ(StripPatternSpace(" \u2029\n"), "");
  EXPECT_EQ(StripPatternSpace("\t\u00e9 \u00e9\u2000 "), "\u00e9 \u00e9");
}

TEST(WikitextDocumentsTest, WikiTextHasThePublishedWordsAndBytes) {
  const std::string path = SharedPath("data/wikitext2_raw/wiki.test.raw");
  const auto text = ReadFile(path);
  if (!text.ok()) GTEST_SKIP() << "no WikiText-2 at " << path;
  const auto documents = WikitextDocuments(*text);
  EXPECT_EQ(documents.size(), 62u);
  uint64_t words = 0, bytes = 0;
  for (const absl::string_view document : documents) {
    words += CountPieces(document);
    bytes += document.size();
  }
  EXPECT_EQ(words, 241335u);
  EXPECT_EQ(bytes, 1290527u);
}

}  // namespace
}  // namespace quantd
