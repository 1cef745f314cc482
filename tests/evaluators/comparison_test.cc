#include "evaluators/comparison.h"

#include <cmath>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

v1::Evaluation WithWindows(const std::vector<double>& nll) {
  v1::Evaluation e;
  e.set_name("evaluations/x");
  auto& report = *e.add_perplexities();
  report.mutable_tag()->set_convention("ppl/gptq-512");
  report.mutable_tag()->set_text_digest("d");
  double sum = 0;
  for (double v : nll) {
    report.add_window_nll(v);
    sum += v;
  }
  report.set_perplexity(std::exp(sum / static_cast<double>(nll.size())));
  return e;
}

TEST(ComparisonTest, PairsWindows) {
  ASSERT_OK_AND_ASSIGN(
      const v1::Comparison c,
      CompareEvaluations(WithWindows({1, 2, 3}), WithWindows({1.1, 2.3, 3.2})));
  EXPECT_NEAR(c.log_ratio(), 0.2, 1e-12);
  // Differences 0.1, 0.3, 0.2: sd 0.1, over sqrt(3).
  EXPECT_NEAR(c.log_ratio_error(), 0.1 / std::sqrt(3.0), 1e-12);
  EXPECT_NEAR(c.ratio(), std::exp(0.2), 1e-12);
  EXPECT_NEAR(c.ratio(), c.candidate_perplexity() / c.baseline_perplexity(),
              1e-12);
}

TEST(ComparisonTest, EqualEvaluationsHaveRatioOneWithoutError) {
  ASSERT_OK_AND_ASSIGN(
      const v1::Comparison c,
      CompareEvaluations(WithWindows({1, 5}), WithWindows({1, 5})));
  EXPECT_EQ(c.ratio(), 1);
  EXPECT_EQ(c.ratio_error(), 0);
}

TEST(ComparisonTest, DifferentTagsAreRefusedAndTheDifferenceNamed) {
  v1::Evaluation other = WithWindows({1, 2});
  other.mutable_perplexities(0)->mutable_tag()->set_text_digest("other");
  EXPECT_THAT(CompareEvaluations(WithWindows({1, 2}), other),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("text_digest")));
  EXPECT_THAT(CompareEvaluations(WithWindows({1, 2}), v1::Evaluation()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("no perplexity")));
}

// Documents of 3, 1 and 2 tokens with words and bytes.
v1::Evaluation WithDocuments(const std::vector<double>& nll) {
  v1::Evaluation e = WithWindows(nll);
  auto& report = *e.mutable_perplexities(0);
  const uint32_t tokens[] = {3, 1, 2};
  const uint64_t words[] = {2, 1, 2}, bytes[] = {9, 4, 7};
  double sum = 0;
  for (int i = 0; i < 3; ++i) {
    report.add_cluster_tokens(tokens[i]);
    report.add_cluster_words(words[i]);
    report.add_cluster_bytes(bytes[i]);
    sum += tokens[i] * nll[static_cast<size_t>(i)];
  }
  report.set_perplexity(std::exp(sum / 6));
  report.mutable_word_perplexity()->set_value(std::exp(sum / 5));
  report.mutable_bits_per_byte()->set_value(sum / 20 / std::log(2.0));
  return e;
}

TEST(ComparisonTest, DocumentsWeighWhatTheyHaveOfTokens) {
  const v1::Evaluation a = WithDocuments({1, 2, 3});
  const v1::Evaluation b = WithDocuments({1.1, 2.6, 3.2});
  ASSERT_OK_AND_ASSIGN(const v1::Comparison c, CompareEvaluations(a, b));
  // Sums of differences: 0.3, 0.6, 0.4.
  const double mean = 1.3 / 6;
  EXPECT_NEAR(c.log_ratio(), mean, 1e-12);
  EXPECT_NEAR(c.ratio(), c.candidate_perplexity() / c.baseline_perplexity(),
              1e-12);
  EXPECT_NEAR(c.log_ratio_error(),
              std::hypot(0.3 - 3 * mean, 0.6 - mean, 0.4 - 2 * mean) / 6 *
                  std::sqrt(1.5),
              1e-12);
  EXPECT_NEAR(c.word_ratio(), std::exp(1.3 / 5), 1e-12);
  EXPECT_NEAR(c.word_ratio(),
              c.candidate_word_perplexity() / c.baseline_word_perplexity(),
              1e-12);
  EXPECT_NEAR(c.word_ratio_error(),
              c.word_ratio() *
                  std::hypot(0.3 - 2 * 0.26, 0.6 - 0.26, 0.4 - 2 * 0.26) / 5 *
                  std::sqrt(1.5),
              1e-12);
  EXPECT_NEAR(c.bits_per_byte_difference(),
              b.perplexities(0).bits_per_byte().value() -
                  a.perplexities(0).bits_per_byte().value(),
              1e-12);
  EXPECT_NEAR(c.bits_per_byte_difference_error(),
              std::hypot(0.3 - 9 * 0.065, 0.6 - 4 * 0.065, 0.4 - 7 * 0.065) /
                  20 * std::sqrt(1.5) / std::log(2.0),
              1e-12);
}

TEST(ComparisonTest, EveryConventionOfWordsAndBytesStandsSideBySide) {
  v1::Evaluation a = WithWindows({1, 2}), b = WithWindows({1, 3});
  const std::string names[] = {"ppl/lmeval-rolling-64",
                               "ppl/lmeval-rolling-128"};
  for (size_t i = 0; i < 2; ++i) {
    const double more = static_cast<double>(i);
    for (auto [evaluation, shift] : {std::pair(&a, 0.0), std::pair(&b, 0.25)}) {
      v1::PerplexityReport& report = *evaluation->add_perplexities();
      report = WithDocuments({1 + shift, 2 + more, 3}).perplexities(0);
      report.mutable_tag()->set_convention(names[i]);
      const double sum = 3 * (1 + shift) + 2 + more + 6;
      report.mutable_byte_perplexity()->set_value(std::exp(sum / 20));
      report.mutable_byte_perplexity()->set_error_clustered(0.5);
    }
  }
  ASSERT_OK_AND_ASSIGN(const v1::Comparison c, CompareEvaluations(a, b));
  // That of the first convention counts neither.
  EXPECT_EQ(c.word_ratio(), 0);
  ASSERT_EQ(c.words_and_bytes_size(), 2);
  for (int i = 0; i < 2; ++i) {
    const v1::WordsAndBytesComparison& own = c.words_and_bytes(i);
    EXPECT_EQ(own.convention(), names[static_cast<size_t>(i)]);
    EXPECT_NEAR(own.word_ratio(),
                own.candidate_word_perplexity().value() /
                    own.baseline_word_perplexity().value(),
                1e-12);
    EXPECT_NEAR(own.byte_ratio(),
                own.candidate_byte_perplexity().value() /
                    own.baseline_byte_perplexity().value(),
                1e-12);
    EXPECT_NEAR(own.bits_per_byte_difference(),
                own.candidate_bits_per_byte().value() -
                    own.baseline_bits_per_byte().value(),
                1e-12);
    EXPECT_EQ(own.baseline_byte_perplexity().error_clustered(), 0.5);
    // Sums of differences 0.75, 0, 0 over 9, 4 and 7 bytes.
    const double mean = 0.75 / 20;
    EXPECT_NEAR(own.byte_ratio_error(),
                own.byte_ratio() *
                    std::hypot(0.75 - 9 * mean, 4 * mean, 7 * mean) / 20 *
                    std::sqrt(1.5),
                1e-12);
  }
}

TEST(ComparisonTest, WeightsOfTheConventionComeBeforeTokens) {
  v1::Evaluation a = WithWindows({1, 2, 3}), b = WithWindows({2, 2, 5});
  for (v1::Evaluation* e : {&a, &b}) {
    for (uint32_t tokens : {7, 6, 3}) {
      e->mutable_perplexities(0)->add_cluster_tokens(tokens);
    }
    for (uint32_t weight : {7, 5, 2}) {
      e->mutable_perplexities(0)->add_cluster_weights(weight);
    }
  }
  ASSERT_OK_AND_ASSIGN(const v1::Comparison c, CompareEvaluations(a, b));
  EXPECT_NEAR(c.log_ratio(), (7 * 1 + 2 * 2) / 14.0, 1e-12);
  EXPECT_EQ(c.word_ratio(), 0);
}

// Documents that happen to have as many tokens.
TEST(ComparisonTest, EqualDocumentsKeepTheirTokens) {
  v1::Evaluation a = WithWindows({1, 2}), b = WithWindows({1.5, 3});
  for (v1::Evaluation* e : {&a, &b}) {
    auto& report = *e->mutable_perplexities(0);
    report.set_tokens_per_window(4);
    for (uint64_t words : {2, 3}) {
      report.add_cluster_words(words);
      report.add_cluster_bytes(4 * words);
    }
  }
  ASSERT_OK_AND_ASSIGN(const v1::Comparison c, CompareEvaluations(a, b));
  EXPECT_NEAR(c.log_ratio(), 0.75, 1e-12);
  EXPECT_NEAR(c.word_ratio(), std::exp(4 * 1.5 / 5), 1e-12);
  EXPECT_NEAR(c.bits_per_byte_difference(), 6 / 20.0 / std::log(2.0), 1e-12);
}

TEST(ComparisonTest, EveryFieldOfATagCounts) {
  const google::protobuf::Descriptor& tag = *v1::PerplexityTag::descriptor();
  for (int i = 0; i < tag.field_count(); ++i) {
    const google::protobuf::FieldDescriptor& field = *tag.field(i);
    v1::Evaluation other = WithWindows({1, 2});
    v1::PerplexityTag& changed = *other.mutable_perplexities(0)->mutable_tag();
    const google::protobuf::Reflection& reflection = *changed.GetReflection();
    switch (field.cpp_type()) {
      case google::protobuf::FieldDescriptor::CPPTYPE_STRING:
        reflection.SetString(&changed, &field, "changed");
        break;
      case google::protobuf::FieldDescriptor::CPPTYPE_UINT32:
        reflection.SetUInt32(&changed, &field, 7);
        break;
      case google::protobuf::FieldDescriptor::CPPTYPE_UINT64:
        reflection.SetUInt64(&changed, &field, 7);
        break;
      case google::protobuf::FieldDescriptor::CPPTYPE_INT32:
        reflection.SetInt32(&changed, &field, 7);
        break;
      default:
        FAIL() << field.name() << ": a type that this test does not know";
    }
    EXPECT_THAT(CompareEvaluations(WithWindows({1, 2}), other),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr(std::string(field.name()) + ":")))
        << field.name();
  }
}

TEST(ComparisonTest, TheMessageIsOfTheMostAlike) {
  v1::Evaluation a = WithWindows({1, 2}), b = WithWindows({1, 2});
  auto& far = *b.mutable_perplexities(0)->mutable_tag();
  far.set_convention("ppl/llamacpp-512");
  far.set_bos_policy("every-window");
  *b.add_perplexities() = a.perplexities(0);
  b.mutable_perplexities(1)->mutable_tag()->set_token_count(5);
  const auto status = CompareEvaluations(a, b).status();
  EXPECT_THAT(status.message(), HasSubstr("token_count"));
  EXPECT_THAT(status.message(), testing::Not(HasSubstr("bos_policy")));
}

TEST(ComparisonTest, ReportsOfOneTagWithOtherClustersAreRefused) {
  std::vector<v1::Evaluation> others(5, WithDocuments({1, 2, 3}));
  others[0].mutable_perplexities(0)->add_window_nll(4);
  others[1].mutable_perplexities(0)->set_cluster_tokens(0, 9);
  others[2].mutable_perplexities(0)->add_cluster_weights(1);
  others[3].mutable_perplexities(0)->clear_cluster_words();
  others[4].mutable_perplexities(0)->clear_window_nll();
  for (const v1::Evaluation& other : others) {
    EXPECT_THAT(CompareEvaluations(WithDocuments({1, 2, 3}), other),
                StatusIs(absl::StatusCode::kFailedPrecondition,
                         HasSubstr("clusters of ppl/gptq-512")));
  }
  // Broken alike.
  for (const v1::Evaluation& other : others) {
    CompareEvaluations(other, other).IgnoreError();
  }
}

}  // namespace
}  // namespace quantd
