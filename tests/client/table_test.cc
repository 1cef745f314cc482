#include "client/table.h"

#include "gtest/gtest.h"

namespace quantd::test {
namespace {

TEST(TableTest, AlignsColumnsAndTrimsLineEnds) {
  Table table({"NAME", "SIZE", "NOTE"}, {Align::kLeft, Align::kRight});
  table.AddRow({"a", "1", "x"});
  table.AddRow({"longer", "10000", ""});
  EXPECT_EQ(table.ToString(),
            "NAME     SIZE  NOTE\n"
            "a           1  x\n"
            "longer  10000\n");
}

TEST(TableTest, ColoursAndUmlautsTakeTheirVisibleWidth) {
  EXPECT_EQ(DisplayWidth("\033[31mred\033[0m"), 3);
  EXPECT_EQ(DisplayWidth("\xc3\xa9\xe2\x82\xac"), 2);
  Table table({"A", "B"});
  table.AddRow({"\033[31mred\033[0m", "1"});
  table.AddRow({"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9", "2"});
  EXPECT_EQ(table.ToString(),
            "A     B\n"
            "\033[31mred\033[0m   1\n"
            "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9  2\n");
}

TEST(TableTest, MarkdownKeepsCellsApart) {
  Table table({"A", "B"}, {Align::kLeft, Align::kRight});
  table.AddRow({"x|y", "1\n2"});
  EXPECT_EQ(table.ToMarkdown(),
            "| A | B |\n| --- | ---: |\n| x\\|y | 1 2 |\n");
}

TEST(TableTest, WithoutRowsShowsItsHeader) {
  Table table({"A", "B"});
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(table.ToString(), "A  B\n");
}

TEST(WrapTest, BreaksAtBlanksAndIndents) {
  EXPECT_EQ(Wrap("one two three four", 9, 2), "one two\n  three\n  four");
  EXPECT_EQ(Wrap("averyveryverylongword x", 5, 0), "averyveryverylongword\nx");
  EXPECT_EQ(Wrap("", 10, 2), "");
}

}  // namespace
}  // namespace quantd::test
