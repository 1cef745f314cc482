// Perplexity of a trained model against an independent float32
// implementation. The first windows only: the whole text takes minutes and is
// measured by the release checks.
#include <cmath>
#include <filesystem>
#include <memory>

#include "base/file.h"
#include "base/sha256.h"
#include "evaluators/evaluator.h"
#include "evaluators/text_windows.h"
#include "gmock/gmock.h"
#include "models/tokenizer.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

class ReferencePerplexityTest : public testing::Test {
 protected:
  void SetUp() override {
    text_path_ = SharedPath("data/wikitext2_raw/wiki.test.raw");
    model_path_ = SharedPath("models/tiny-llama-7m");
    if (!std::filesystem::exists(text_path_)) {
      GTEST_SKIP() << "no WikiText-2 at " << text_path_;
    }
  }
  std::string text_path_;
  std::string model_path_;
};

TEST_F(ReferencePerplexityTest, JoinedTextHasThePublishedDigest) {
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(text_path_));
  EXPECT_EQ(Sha256Hex(JoinRows(text)),
            "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83");
}

TEST_F(ReferencePerplexityTest, WindowCountsMatchTheReference) {
  ASSERT_OK_AND_ASSIGN(const std::string text, ReadFile(text_path_));
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadTokenizer(model_path_));
  ASSERT_OK_AND_ASSIGN(const auto gptq, NewEvaluator("ppl/gptq-512"));
  ASSERT_OK_AND_ASSIGN(const auto joined,
                       gptq->Requests(text, {*tokenizer, 512}));
  EXPECT_EQ(joined.size(), 776u);
  ASSERT_OK_AND_ASSIGN(const auto llamacpp, NewEvaluator("ppl/llamacpp-512"));
  ASSERT_OK_AND_ASSIGN(const auto raw,
                       llamacpp->Requests(text, {*tokenizer, 512}));
  EXPECT_EQ(raw.size(), 759u);
}

}  // namespace
}  // namespace quantd
