#include "models/tokenizers/added_tokens.h"

#include <string>
#include <utility>
#include <vector>

#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

AddedToken Token(int32_t id, const std::string& content) {
  AddedToken token;
  token.id = id;
  token.content = content;
  return token;
}

// Parts with the id of their token, -1 for plain text.
std::vector<std::pair<std::string, int>> Cut(std::vector<AddedToken> tokens,
                                             const std::string& text) {
  const AddedTokenMatcher matcher(std::move(tokens));
  std::vector<std::pair<std::string, int>> parts;
  EXPECT_THAT(matcher.Cut(text,
                          [&](absl::string_view part, const AddedToken* token) {
                            parts.emplace_back(
                                part, token == nullptr ? -1 : token->id);
                            return absl::OkStatus();
                          }),
              IsOk());
  return parts;
}

TEST(AddedTokenMatcherTest, TheLongestTokenWinsFromTheLeft) {
  const std::vector<AddedToken> tokens = {Token(1, "<a>"), Token(2, "<a><b>"),
                                          Token(3, "a")};
  EXPECT_THAT(Cut(tokens, "x<a><b><a>y"),
              ElementsAre(Pair("x", -1), Pair("<a><b>", 2), Pair("<a>", 1),
                          Pair("y", -1)));
  EXPECT_THAT(Cut(tokens, "<a<a>"),
              ElementsAre(Pair("<", -1), Pair("a", 3), Pair("<a>", 1)));
  EXPECT_THAT(Cut(tokens, ""), ElementsAre());
  EXPECT_THAT(Cut({}, "<a>"), ElementsAre(Pair("<a>", -1)));
}

TEST(AddedTokenMatcherTest, StripTakesTheWhiteSpaceAround) {
  AddedToken token = Token(1, "<m>");
  token.lstrip = true;
  EXPECT_THAT(
      Cut({token}, "a \xC2\xA0\n<m> b"),
      ElementsAre(Pair("a", -1), Pair(" \xC2\xA0\n<m>", 1), Pair(" b", -1)));
  token.rstrip = true;
  EXPECT_THAT(Cut({token}, " <m>  <m>\t"),
              ElementsAre(Pair(" <m>  ", 1), Pair("<m>\t", 1)));
  token.lstrip = false;
  EXPECT_THAT(Cut({token}, "\xC3\xA9 <m> \xC3\xA9"),
              ElementsAre(Pair("\xC3\xA9 ", -1), Pair("<m> ", 1),
                          Pair("\xC3\xA9", -1)));
}

TEST(AddedTokenMatcherTest, SingleWordsStandAlone) {
  AddedToken token = Token(1, "art");
  token.single_word = true;
  EXPECT_THAT(Cut({token},
                  "art, part art_ \xC3\xA9"
                  "art\xCC\x81 art"),
              ElementsAre(Pair("art", 1),
                          Pair(", part art_ \xC3\xA9"
                               "art\xCC\x81 ",
                               -1),
                          Pair("art", 1)));
}

TEST(AddedTokenMatcherTest, StopsAtTheFirstErrorOfTheSink) {
  const AddedTokenMatcher matcher({Token(1, "x")});
  int calls = 0;
  EXPECT_THAT(matcher.Cut("axbx",
                          [&](absl::string_view, const AddedToken*) {
                            ++calls;
                            return absl::CancelledError("enough");
                          }),
              StatusIs(absl::StatusCode::kCancelled, "enough"));
  EXPECT_EQ(calls, 1);
}

}  // namespace
}  // namespace quantd::test
