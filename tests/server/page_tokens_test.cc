#include "server/page_tokens.h"

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::_;
using ::testing::HasSubstr;

TEST(PageTokensTest, ATokenLeadsBackToItsKey) {
  const PageTokens tokens("secret");
  const std::string binary_key("a\0/+\xff", 5);
  EXPECT_EQ(*tokens.Decode("models", tokens.Encode("models", binary_key)),
            binary_key);
}

TEST(PageTokensTest, AnEmptyTokenIsTheFirstPage) {
  EXPECT_EQ(*PageTokens("secret").Decode("models", ""), "");
}

TEST(PageTokensTest, ATokenOfAnotherListingOrStoreIsRefused) {
  const PageTokens tokens("secret");
  const std::string token = tokens.Encode("models", "m");
  EXPECT_THAT(
      tokens.Decode("datasets", token),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("page_token")));
  EXPECT_THAT(PageTokens("other").Decode("models", token),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

TEST(PageTokensTest, EveryChangedCharacterIsNoticed) {
  const PageTokens tokens("secret");
  const std::string token = tokens.Encode("models", "model-name-01");
  for (size_t i = 0; i < token.size(); ++i) {
    std::string changed = token;
    changed[i] = changed[i] == 'A' ? 'B' : 'A';
    const absl::StatusOr<std::string> decoded =
        tokens.Decode("models", changed);
    // The last character may have bits that do not count.
    if (decoded.ok()) {
      EXPECT_EQ(i, token.size() - 1);
      EXPECT_EQ(*decoded, "model-name-01");
    }
  }
}

TEST(PageTokensTest, ScopeAndKeyDoNotRunIntoEachOther) {
  const PageTokens tokens("secret");
  EXPECT_THAT(tokens.Decode("ab", tokens.Encode("a", "bc")),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

TEST(PageTokensTest, GarbageIsRefused) {
  const PageTokens tokens("secret");
  for (const char* token :
       {"x", "====", "not a token", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}) {
    EXPECT_THAT(tokens.Decode("models", token),
                StatusIs(absl::StatusCode::kInvalidArgument, _))
        << token;
  }
}

TEST(PageTokensTest, TheKeyOfAStoreSurvivesReopening) {
  TempDir directory;
  MetadataStore::Options options;
  options.directory = directory.path();
  std::string token;
  {
    ASSERT_OK_AND_ASSIGN(const auto store, MetadataStore::Open(options));
    ASSERT_OK_AND_ASSIGN(const PageTokens tokens,
                         PageTokens::Load(store.get()));
    token = tokens.Encode("models", "m");
  }
  ASSERT_OK_AND_ASSIGN(const auto store, MetadataStore::Open(options));
  ASSERT_OK_AND_ASSIGN(const PageTokens tokens, PageTokens::Load(store.get()));
  EXPECT_EQ(*tokens.Decode("models", token), "m");
}

}  // namespace
}  // namespace quantd::test
