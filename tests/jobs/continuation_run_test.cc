#include "jobs/continuation_run.h"

#include <memory>

#include "gmock/gmock.h"
#include "models/checkpoint.h"
#include "proto/field_rules.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParsePromptsTest, ReadsOneObjectALine) {
  ASSERT_OK_AND_ASSIGN(
      const auto prompts,
      ParsePrompts("{\"prompt\": \"one\\ntwo\", \"id\": 3}\r\n\n"
                   "{\"prompt\": \"\"}\n"));
  EXPECT_THAT(prompts, ElementsAre("one\ntwo", ""));
}

TEST(ParsePromptsTest, NamesTheBrokenLine) {
  for (const char* line :
       {"plain text", "{\"text\": \"x\"}", "[1]", "{\"prompt\": 5}",
        "{\"prompt\": \"a\"", "{\"prompt\": \"\xff\"}"}) {
    EXPECT_THAT(
        ParsePrompts(std::string("{\"prompt\": \"good\"}\n") + line),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("line 2")))
        << line;
  }
  EXPECT_THAT(
      ParsePrompts("\n \n"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no prompts")));
}

class ContinuePromptsTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string directory = ProjectPath("deploy/demo/demo-llama-1m");
    ASSERT_OK_AND_ASSIGN(checkpoint_, Checkpoint::Open(directory));
    ASSERT_OK_AND_ASSIGN(model_, Model::Open(checkpoint_));
    ASSERT_OK_AND_ASSIGN(tokenizer_, LoadTokenizer(directory));
    v1::JobSpec spec;
    spec.mutable_evaluate()->mutable_generation();
    FillDefaults(&spec);
    generation_ = spec.evaluate().generation();
  }

  absl::StatusOr<v1::Evaluation> Run(const std::string& prompts) {
    v1::Evaluation evaluation;
    const auto generated = ContinuePrompts(generation_, prompts, *model_,
                                           *tokenizer_, context_, &evaluation);
    if (!generated.ok()) return generated.status();
    return evaluation;
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(1);
  ExecutionContext context_{device_.get()};
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Tokenizer> tokenizer_;
  v1::Generation generation_;
};

TEST_F(ContinuePromptsTest, DefaultsAreGreedy) {
  EXPECT_EQ(generation_.max_new_tokens(), 64u);
  EXPECT_EQ(generation_.temperature(), 0);
  EXPECT_EQ(generation_.beams(), 1u);
  generation_.set_max_new_tokens(12);
  ASSERT_OK_AND_ASSIGN(
      const v1::Evaluation evaluation,
      Run("{\"prompt\": \"It was the\"}\n{\"prompt\": \"The king\"}"));
  ASSERT_EQ(evaluation.generations_size(), 2);
  const v1::Continuation& first = evaluation.generations(0).continuations(0);
  EXPECT_EQ(evaluation.generations(0).prompt(), "It was the");
  EXPECT_LE(first.tokens_size(), 12);
  EXPECT_LT(first.log_probability(), 0);
  EXPECT_FALSE(first.text().empty());
  // A trained model repeats its own answer.
  ASSERT_OK_AND_ASSIGN(const v1::Evaluation again,
                       Run("{\"prompt\": \"It was the\"}"));
  EXPECT_EQ(again.generations(0).continuations(0).text(), first.text());
}

TEST_F(ContinuePromptsTest, BeamsComeBestFirst) {
  generation_.set_max_new_tokens(8);
  generation_.set_beams(4);
  generation_.set_beam_groups(2);
  ASSERT_OK_AND_ASSIGN(const v1::Evaluation evaluation,
                       Run("{\"prompt\": \"It was the\"}"));
  const v1::GeneratedText& text = evaluation.generations(0);
  ASSERT_EQ(text.continuations_size(), 4);
  EXPECT_GE(text.continuations(0).score(), text.continuations(1).score());
  EXPECT_NE(text.continuations(0).text(), text.continuations(2).text());
}

}  // namespace
}  // namespace quantd
