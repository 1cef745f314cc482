#include "evaluators/convention_windows.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "tests/testing/small_tokenizer.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::unique_ptr<Tokenizer> Bytes() {
  return *ParseTokenizer(test::SmallTokenizer().dump(),
                         R"({"bos_token": "~"})");
}

absl::StatusOr<ConventionWindows> Parse(absl::string_view parameters,
                                        uint64_t max_windows = 0) {
  EvaluatorOptions options;
  options.max_windows = max_windows;
  return ConventionWindows::Parse("ppl", parameters, options);
}

TEST(ConventionWindowsTest, NamesAreReadAndWritten) {
  for (const char* name :
       {"gptq-512", "llamacpp-8", "lmeval-rolling", "lmeval-rolling-512",
        "hf-stride-2", "hf-stride-256-512", "hf-stride-512-512"}) {
    ASSERT_OK_AND_ASSIGN(const ConventionWindows w, Parse(name));
    EXPECT_EQ(w.name(), name);
  }
  ASSERT_OK_AND_ASSIGN(const ConventionWindows limited,
                       Parse("lmeval-rolling", 3));
  EXPECT_EQ(limited.name(), "lmeval-rolling/first-3");
}

TEST(ConventionWindowsTest, UnknownNamesAreRefusedWithTheKnownOnes) {
  for (const char* name : {"", "gptq", "llamacpp", "gptqx-512", "hf-stride",
                           "hf-stridex-8", "lmeval-rollingx", "lmeval"}) {
    EXPECT_THAT(Parse(name), StatusIs(absl::StatusCode::kInvalidArgument,
                                      AllOf(HasSubstr("ppl/gptq-N"),
                                            HasSubstr("ppl/lmeval-rolling-N"),
                                            HasSubstr("ppl/hf-stride-S-N"))))
        << name;
  }
}

TEST(ConventionWindowsTest, NumbersOutOfRangeAreRefused) {
  for (const char* name :
       {"gptq-", "gptq-7", "gptq-8-8", "lmeval-rolling-", "lmeval-rolling-7",
        "lmeval-rolling-8-8", "hf-stride-8-", "hf-stride-4-7",
        "hf-stride-4-8-8", "hf-stride-4-x", "hf-stride-4-1048577"}) {
    EXPECT_THAT(Parse(name), StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr("the window must be")))
        << name;
  }
  for (const char* name :
       {"hf-stride-", "hf-stride-x", "hf-stride--8", "hf-stride-0-8",
        "hf-stride-1-8", "hf-stride-99999999999-8"}) {
    EXPECT_THAT(Parse(name), StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr("the stride must be")))
        << name;
  }
  EXPECT_THAT(Parse("hf-stride-9-8"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("a stride of 9 skips tokens")));
}

TEST(ConventionWindowsTest, TheModelsContextIsTheWindow) {
  const auto tokenizer = Bytes();
  for (const char* stem : {"lmeval-rolling", "hf-stride-4"}) {
    const std::string text = " = ab = \n" + test::TinyText(60);
    const std::string numbered = absl::StrCat(stem, "-16");
    ASSERT_OK_AND_ASSIGN(ConventionWindows open, Parse(stem));
    ASSERT_OK_AND_ASSIGN(ConventionWindows written, Parse(numbered));
    ASSERT_OK_AND_ASSIGN(const auto a, open.Requests(text, {*tokenizer, 16}));
    ASSERT_OK_AND_ASSIGN(const auto b, written.Requests(text, {*tokenizer, 0}));
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].tokens, b[i].tokens);
    EXPECT_EQ(open.name(), numbered);
    EXPECT_EQ(open.tag().convention(), "ppl/" + numbered);
    EXPECT_EQ(open.tag().window_tokens(), 16u);
    EXPECT_EQ(open.tag().SerializeAsString(),
              written.tag().SerializeAsString());
  }
}

TEST(ConventionWindowsTest, AnUnknownContextAsksForTheNumber) {
  const auto tokenizer = Bytes();
  for (const int64_t context : {0, 7, 1 << 21}) {
    ASSERT_OK_AND_ASSIGN(ConventionWindows w, Parse("hf-stride-4", 3));
    const auto asks = StatusIs(
        absl::StatusCode::kInvalidArgument,
        AllOf(HasSubstr("write the number"), HasSubstr("ppl/hf-stride-4-512"),
              HasSubstr(context == 0 ? "unknown" : absl::StrCat(context))));
    EXPECT_THAT(w.Shape(context), asks);
    EXPECT_THAT(w.Requests("text", {*tokenizer, context}), asks);
  }
  ASSERT_OK_AND_ASSIGN(const ConventionWindows w, Parse("hf-stride-100"));
  EXPECT_THAT(w.Shape(64), StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("a stride of 100 skips")));
}

// Never more windows or longer ones than the shape says.
TEST(ConventionWindowsTest, ShapesBoundTheRequests) {
  const auto tokenizer = Bytes();
  std::string text;
  for (size_t d = 0; d < 20; ++d) {
    text += " = ab = \n" + test::TinyText(5 * d, d + 1) + "\n";
  }
  for (const char* name :
       {"gptq-16", "llamacpp-16", "lmeval-rolling", "lmeval-rolling-9",
        "lmeval-rolling-400", "hf-stride-5", "hf-stride-16"}) {
    ASSERT_OK_AND_ASSIGN(ConventionWindows w, Parse(name));
    ASSERT_OK_AND_ASSIGN(const WindowShape shape, w.Shape(16));
    ASSERT_OK_AND_ASSIGN(const auto requests,
                         w.Requests(text, {*tokenizer, 16}));
    int64_t tokens = 0;
    for (const ScoreRequest& request : requests) {
      const int64_t length = static_cast<int64_t>(request.tokens.size());
      EXPECT_LE(length, shape.tokens) << name;
      tokens += length;
    }
    const int64_t windows =
        static_cast<int64_t>(w.tag().token_count()) / shape.text_tokens + 1;
    EXPECT_LE(tokens, windows * shape.tokens) << name;
  }
}

TEST(ConventionWindowsTest, StridedWindowsScoreWhatIsNew) {
  const auto tokenizer = Bytes();
  struct Case {
    size_t tokens;
    const char* name;
    size_t windows;
    size_t targets;
  };
  for (const Case& c : {
           Case{20, "hf-stride-6-8", 3, 19},
           Case{21, "hf-stride-6-8", 4, 20},  // the last with one new token
           Case{24, "hf-stride-8-8", 3, 21},  // no overlap: first ones lost
           Case{25, "hf-stride-8-8", 3, 21},  // a last token without a context
           Case{26, "hf-stride-8-8", 4, 22},
           Case{5, "hf-stride-4-8", 1, 4},  // a text shorter than a window
           Case{8, "hf-stride-4-8", 1, 7},
           Case{9, "hf-stride-4-8", 2, 8},
           Case{2, "hf-stride-4-8", 1, 1},
       }) {
    ASSERT_OK_AND_ASSIGN(ConventionWindows w, Parse(c.name));
    ASSERT_OK_AND_ASSIGN(const auto requests,
                         w.Requests(test::TinyText(c.tokens), {*tokenizer, 0}));
    EXPECT_EQ(requests.size(), c.windows) << c.name << " " << c.tokens;
    size_t targets = 0;
    uint64_t next = 1;
    for (size_t i = 0; i < requests.size(); ++i) {
      const size_t first = static_cast<size_t>(requests[i].first_target);
      EXPECT_GE(w.TextPosition(i, first), next);
      next = w.TextPosition(i, first) +
             static_cast<uint64_t>(requests[i].target_count);
      targets += static_cast<size_t>(requests[i].target_count);
    }
    EXPECT_EQ(targets, c.targets) << c.name << " " << c.tokens;
  }
  ASSERT_OK_AND_ASSIGN(ConventionWindows w, Parse("hf-stride-4-8"));
  EXPECT_THAT(w.Requests("a", {*tokenizer, 0}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("1 tokens, at least 2")));
  ASSERT_OK_AND_ASSIGN(ConventionWindows limited, Parse("hf-stride-4-8", 2));
  ASSERT_OK_AND_ASSIGN(const auto requests,
                       limited.Requests(test::TinyText(30), {*tokenizer, 0}));
  EXPECT_EQ(requests.size(), 2u);
}

TEST(ConventionWindowsTest, StridesThatFillMemoryAreRefused) {
  const auto tokenizer = Bytes();
  // 32768 tokens in windows of half as many every two.
  ASSERT_OK_AND_ASSIGN(ConventionWindows w, Parse("hf-stride-2-16384"));
  EXPECT_THAT(w.Requests(test::TinyText(1 << 16), {*tokenizer, 0}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("take a longer stride")));
}

}  // namespace
}  // namespace quantd
