#include "evaluators/generation_task.h"

#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/testing/small_tokenizer.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::quantd::test::TempDir;
using ::testing::HasSubstr;

class GeneratedTextsTest : public testing::Test {
 protected:
  void SetUp() override {
    test::WriteTinyModel(directory_.path(), {});
    model_ = *Model::Open(*Checkpoint::Open(directory_.path()));
    task_.name = "texts";
    task_.kind = TaskKind::kGenerate;
    task_.generation.max_new_tokens = 12;
    for (const char* name : {"exact_match", "bleu", "chrf", "chrf++", "rouge1",
                             "rouge2", "rougeL", "rougeLsum"}) {
      task_.metrics.emplace_back().name = name;
    }
    for (const char* prompt : {"one two", "three", "and four"}) {
      TaskItem item;
      item.prompt = prompt;
      item.references = {"a reference text of some words"};
      items_.push_back(item);
    }
  }

  absl::StatusOr<v1::TaskReport> Run() {
    ASSIGN_OR_RETURN(
        GenerationTask task,
        GenerationTask::Create(task_, items_, *tokenizer_, {}, 64));
    const auto device = NewCpuDevice(1);
    ExecutionContext ctx(device.get());
    ASSIGN_OR_RETURN(Generator generator, Generator::Load(*model_, ctx));
    RETURN_IF_ERROR(task.Run(
        generator, [](size_t) {}, ctx));
    v1::TaskReport report;
    RETURN_IF_ERROR(task.Report(&report));
    return report;
  }

  static std::map<std::string, double> Values(const v1::TaskReport& report) {
    std::map<std::string, double> values;
    for (const v1::TaskMetric& m : report.metrics())
      values[m.name()] = m.value();
    return values;
  }

  TempDir directory_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Tokenizer> tokenizer_ =
      *ParseTokenizer(test::SmallTokenizer().dump(), "");
  TaskDefinition task_;
  std::vector<TaskItem> items_;
};

TEST_F(GeneratedTextsTest, EveryMetricIsReportedAndItsOwnTextScoresFull) {
  ASSERT_OK_AND_ASSIGN(const v1::TaskReport first, Run());
  auto values = Values(first);
  for (const TaskMetric& metric : task_.metrics) {
    EXPECT_EQ(values.count(metric.name), 1u) << metric.name;
  }
  EXPECT_EQ(values.count("distinct_1"), 1u);
  EXPECT_EQ(values.count("repetition_4"), 1u);
  EXPECT_EQ(values.at("exact_match"), 0);
  ASSERT_EQ(first.answers_size(), 3);
  for (size_t i = 0; i < items_.size(); ++i) {
    const v1::TaskAnswer& answer = first.answers(static_cast<int>(i));
    EXPECT_EQ(answer.prompt(), items_[i].prompt);
    items_[i].references = {answer.extracted(0)};
  }
  ASSERT_OK_AND_ASSIGN(const v1::TaskReport own, Run());
  values = Values(own);
  EXPECT_EQ(values.at("exact_match"), 1);
  EXPECT_EQ(own.metrics(0).low() < 1, true);
}

TEST_F(GeneratedTextsTest, StopSequencesEndATextAndAreNotPartOfIt) {
  ASSERT_OK_AND_ASSIGN(const v1::TaskReport whole, Run());
  const std::string text = whole.answers(0).text();
  ASSERT_GT(text.size(), 4u);
  task_.generation.until = {text.substr(2, 2)};
  ASSERT_OK_AND_ASSIGN(const v1::TaskReport cut, Run());
  EXPECT_EQ(cut.answers(0).text(),
            text.substr(0, text.find(text.substr(2, 2))));
  EXPECT_GT(cut.stopped_share(), 0);
}

TEST_F(GeneratedTextsTest, TextsThatEndAtOnceOrRepeatThemselvesAreCounted) {
  ASSERT_OK_AND_ASSIGN(const v1::TaskReport whole, Run());
  EXPECT_TRUE(whole.has_early_end_share());
  EXPECT_EQ(whole.early_end_share(), 0);
  EXPECT_TRUE(whole.has_repeated_share());
  EXPECT_NEAR(whole.repeated_share(), Values(whole).at("repetition_4"), 1e-12);
  // The first text, twice, ends with its first token, by what it begins with.
  items_ = {items_[0], items_[0]};
  ASSERT_FALSE(whole.answers(0).text().empty());
  task_.generation.until = {whole.answers(0).text().substr(0, 1)};
  ASSERT_OK_AND_ASSIGN(const v1::TaskReport early, Run());
  EXPECT_EQ(early.early_end_share(), 1);
  EXPECT_EQ(early.repeated_share(), 0);
}

TEST_F(GeneratedTextsTest, DiverseBeamsGiveTheBestOfAllGroups) {
  task_.generation.beams = 4;
  task_.generation.beam_groups = 2;
  task_.generation.beam_diversity = 0.7;
  ASSERT_OK_AND_ASSIGN(const v1::TaskReport report, Run());
  GenerationOptions options;
  options.max_new_tokens = task_.generation.max_new_tokens;
  options.beams = 4;
  options.beam_groups = 2;
  options.beam_diversity = 0.7;
  options.length_penalty = task_.generation.length_penalty;
  const auto device = NewCpuDevice(1);
  ExecutionContext ctx(device.get());
  ASSERT_OK_AND_ASSIGN(Generator generator, Generator::Load(*model_, ctx));
  for (size_t i = 0; i < items_.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(const std::vector<int32_t> prompt,
                         tokenizer_->EncodeWithBos(items_[i].prompt));
    ASSERT_OK_AND_ASSIGN(const auto beams,
                         generator.Generate(
                             {prompt}, options, [](size_t) {}, ctx));
    ASSERT_EQ(beams[0].size(), 4u);
    EXPECT_EQ(
        report.answers(static_cast<int>(i)).text(),
        *tokenizer_->Decode(BestBeam(beams[0], options.length_penalty).tokens));
  }
}

TEST_F(GeneratedTextsTest, TextsThatDoNotFitAreRefusedOrCut) {
  items_[1].prompt = std::string(100, 'x');
  ASSERT_OK_AND_ASSIGN(const v1::TaskReport report, Run());
  EXPECT_EQ(report.cut_items(), 1u);
  task_.generation.max_new_tokens = 64;
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kInvalidArgument,
                              HasSubstr("leave no room for a prompt")));
  task_.generation.max_new_tokens = 8;
  items_[2].prompt.clear();
  EXPECT_THAT(Run(), StatusIs(absl::StatusCode::kInvalidArgument,
                              HasSubstr("item 2 (line 0)")));
}

}  // namespace
}  // namespace quantd
