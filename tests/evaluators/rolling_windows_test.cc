#include "evaluators/rolling_windows.h"

#include <numeric>

#include "base/sha256.h"
#include "evaluators/wikitext_detokenizer.h"
#include "gmock/gmock.h"
#include "tests/testing/small_tokenizer.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int32_t kPrefix = -1;

std::unique_ptr<Tokenizer> Bytes(const std::string& config) {
  return *ParseTokenizer(test::SmallTokenizer().dump(), config);
}

TextWindows Rolling(int tokens, int window) {
  std::vector<int32_t> document(static_cast<size_t>(tokens));
  std::iota(document.begin(), document.end(), 0);
  TextWindows windows;
  AddRollingWindows(document, 100, kPrefix, window, &windows);
  return windows;
}

TEST(RollingWindowsTest, TheLastWindowIsFilledUpToTheLeft) {
  const TextWindows w = Rolling(7, 3);
  ASSERT_EQ(w.requests.size(), 3u);
  EXPECT_THAT(w.requests[0].tokens, ElementsAre(kPrefix, 0, 1, 2));
  EXPECT_EQ(w.requests[0].first_target, 1);
  EXPECT_EQ(w.requests[0].target_count, 3);
  // A context of one token, that has been scored.
  EXPECT_THAT(w.requests[1].tokens, ElementsAre(2, 3, 4, 5));
  EXPECT_EQ(w.requests[1].first_target, 1);
  EXPECT_EQ(w.requests[1].target_count, 3);
  EXPECT_THAT(w.requests[2].tokens, ElementsAre(3, 4, 5, 6));
  EXPECT_EQ(w.requests[2].first_target, 3);
  EXPECT_EQ(w.requests[2].target_count, 1);
  EXPECT_THAT(w.begins, ElementsAre(99, 102, 103));
}

TEST(RollingWindowsTest, ShortDocumentsAreOneShortWindow) {
  const TextWindows one = Rolling(1, 8);
  ASSERT_EQ(one.requests.size(), 1u);
  EXPECT_THAT(one.requests[0].tokens, ElementsAre(kPrefix, 0));
  EXPECT_EQ(one.requests[0].target_count, 1);
  EXPECT_EQ(Rolling(8, 8).requests.size(), 1u);
  EXPECT_EQ(Rolling(8, 8).requests[0].tokens.size(), 9u);
}

TEST(RollingWindowsTest, ADocumentWithoutTokensIsAClusterWithoutWindows) {
  const TextWindows w = Rolling(0, 8);
  EXPECT_TRUE(w.requests.empty());
  ASSERT_EQ(w.clusters.size(), 1u);
  EXPECT_EQ(w.clusters[0].windows, 0u);
  EXPECT_EQ(w.clusters[0].weight, 0u);
}

TEST(RollingWindowsTest, EveryTokenIsScoredOnceAndNoneFromMoreThanAWindow) {
  for (int window : {1, 2, 3, 8, 13}) {
    for (int tokens = 0; tokens < 50; ++tokens) {
      const TextWindows w = Rolling(tokens, window);
      std::vector<int> times(static_cast<size_t>(tokens));
      for (size_t i = 0; i < w.requests.size(); ++i) {
        const ScoreRequest& request = w.requests[i];
        EXPECT_LE(request.tokens.size(), static_cast<size_t>(window) + 1);
        EXPECT_GE(request.first_target, 1);
        EXPECT_EQ(
            static_cast<size_t>(request.first_target + request.target_count),
            request.tokens.size());
        for (size_t t = 0; t < request.tokens.size(); ++t) {
          const int32_t token = request.tokens[t];
          if (token != kPrefix) {
            EXPECT_EQ(100 + token, w.begins[i] + static_cast<int64_t>(t));
          }
          if (t >= static_cast<size_t>(request.first_target)) {
            ++times[static_cast<size_t>(token)];
          }
        }
      }
      EXPECT_THAT(times, ::testing::Each(1)) << tokens << " by " << window;
      EXPECT_EQ(w.clusters[0].windows, w.requests.size());
      EXPECT_EQ(w.clusters[0].weight, static_cast<uint64_t>(tokens));
    }
  }
}

constexpr char kText[] = "dropped\n = ab = \n x @-@ y \n = cd = \n";

TEST(RollingWindowsTest, WordsAndBytesAreThoseBeforeDetokenization) {
  ASSERT_OK_AND_ASSIGN(
      const TextWindows w,
      RollingWindows(kText, *Bytes(R"({"bos_token": "~"})"), {.window = 64}));
  const std::string first = " = ab = \n x @-@ y ", second = " = cd = \n";
  ASSERT_EQ(w.clusters.size(), 2u);
  EXPECT_EQ(w.clusters[0].words, 8u);  // an empty piece at either end
  EXPECT_EQ(w.clusters[0].bytes, first.size());
  EXPECT_EQ(w.clusters[1].words, 5u);
  EXPECT_EQ(w.clusters[1].bytes, second.size());
  const std::string fed = DetokenizeWikitext(first);
  EXPECT_EQ(fed, " = ab =\nx-y ");
  EXPECT_EQ(w.clusters[0].weight, fed.size());
  EXPECT_EQ(w.tag.text_digest(),
            Sha256Hex(fed + "\n" + DetokenizeWikitext(second)));
  EXPECT_EQ(w.tag.token_count(), fed.size() + second.size() - 1);
  EXPECT_EQ(w.tag.document_count(), 2u);
  EXPECT_EQ(w.tag.word_count(), 13u);
  EXPECT_EQ(w.tag.byte_count(), first.size() + second.size());
  EXPECT_EQ(w.tag.bos_policy(), "every-document");
  EXPECT_EQ(w.begins[1], static_cast<int64_t>(fed.size()) - 1);
}

TEST(RollingWindowsTest, ThePrefixIsBosElseEosOnce) {
  struct Case {
    const char* config;
    char prefix;
  };
  for (const Case& c :
       {Case{R"({"bos_token": "~", "eos_token": "!"})", '~'},
        Case{R"({"eos_token": "!"})", '!'},
        // Not twice where the tokenizer adds it by itself.
        Case{R"({"bos_token": "~", "add_bos_token": true})", '~'}}) {
    ASSERT_OK_AND_ASSIGN(
        const TextWindows w,
        RollingWindows(kText, *Bytes(c.config), {.window = 8}));
    EXPECT_EQ(w.tag.prefix_token(), c.prefix);
    EXPECT_EQ(w.requests[0].tokens[0], c.prefix);
    EXPECT_EQ(w.requests[0].tokens[1], ' ');
    EXPECT_EQ(w.requests[0].tokens[2], '=');
    EXPECT_NE(w.requests[1].tokens[0], c.prefix);
  }
  EXPECT_THAT(RollingWindows(kText, *Bytes(""), {.window = 8}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("neither a BOS nor an EOS")));
}

TEST(RollingWindowsTest, TextsWithoutADocumentAreRefused) {
  const auto tokenizer = Bytes(R"({"bos_token": "~"})");
  for (const char* text : {"", "no heading", " = a = \n"}) {
    EXPECT_THAT(RollingWindows(text, *tokenizer, {.window = 8}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("no heading line")))
        << text;
  }
  EXPECT_THAT(RollingWindows(" = ab = \nx\xff", *tokenizer, {.window = 8}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not UTF-8 at byte 10")));
}

TEST(RollingWindowsTest, HeadingsAloneAreScored) {
  ASSERT_OK_AND_ASSIGN(
      const TextWindows w,
      RollingWindows(" = ab = \n = cd = \n = ef = ",
                     *Bytes(R"({"bos_token": "~"})"), {.window = 8}));
  EXPECT_EQ(w.clusters.size(), 3u);
  EXPECT_EQ(w.requests.size(), 3u);
  EXPECT_EQ(w.tag.word_count(), 15u);
}

TEST(RollingWindowsTest, ALimitKeepsWholeDocuments) {
  // 11 (a blank before the newline goes) and 8 tokens: two windows and one.
  const std::string text = " = ab = \nabc\n = cd = ";
  const auto tokenizer = Bytes(R"({"bos_token": "~"})");
  for (uint64_t limit : {2, 3, 100}) {
    ASSERT_OK_AND_ASSIGN(
        const TextWindows w,
        RollingWindows(text, *tokenizer, {.window = 8, .max_windows = limit}));
    EXPECT_EQ(w.clusters.size(), limit == 2 ? 1u : 2u);
    EXPECT_EQ(w.requests.size(), limit == 2 ? 2u : 3u);
    EXPECT_EQ(w.tag.document_count(), w.clusters.size());
    EXPECT_EQ(w.tag.byte_count(), limit == 2 ? 12u : 20u);
    EXPECT_EQ(w.tag.token_count(), 19u);
  }
  EXPECT_THAT(RollingWindows(text, *tokenizer, {.window = 8, .max_windows = 1}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("first document has 2 windows")));
}

}  // namespace
}  // namespace quantd
