// Generation with a cache against the same network run over whole sequences.
#include "evaluators/generator.h"

#include <filesystem>
#include <memory>
#include <string>

#include "evaluators/decoding_session.h"
#include "gmock/gmock.h"
#include "models/checkpoint.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

void NoProgress(size_t) {}

absl::StatusOr<std::vector<std::unique_ptr<Block>>> LoadBlocks(
    const Model& model, ExecutionContext& ctx) {
  std::vector<std::unique_ptr<Block>> blocks;
  for (int k = 0; k < model.block_count(); ++k) {
    auto block = model.LoadBlock(k, ctx);
    if (!block.ok()) return block.status();
    blocks.push_back(*std::move(block));
  }
  return blocks;
}

// Logits after the last token of one sequence, without a cache.
absl::StatusOr<Tensor> Recompute(
    const Model& model, absl::Span<const std::unique_ptr<Block>> blocks,
    const std::vector<int32_t>& tokens, ExecutionContext& ctx) {
  const auto batch =
      SequenceBatch::Uniform(1, static_cast<int64_t>(tokens.size()));
  auto hidden = model.Embed(tokens, batch, ctx);
  if (!hidden.ok()) return hidden.status();
  for (const auto& block : blocks) {
    hidden = block->Forward(*hidden, batch, ctx);
    if (!hidden.ok()) return hidden.status();
  }
  return model.Logits(hidden->Rows(hidden->rows() - 1, 1), ctx);
}

class FamilyGenerationTest : public testing::TestWithParam<const char*> {};

TEST_P(FamilyGenerationTest, CachedStepsEqualWholeSequences) {
  const std::string directory =
      SharedPath(std::string("fixtures/") + GetParam());
  if (!std::filesystem::exists(directory)) {
    GTEST_SKIP() << "no fixture at " << directory;
  }
  const auto device = NewCpuDevice(2);
  ExecutionContext ctx(device.get());
  ASSERT_OK_AND_ASSIGN(auto checkpoint, Checkpoint::Open(directory));
  ASSERT_OK_AND_ASSIGN(const auto model, Model::Open(checkpoint));
  ASSERT_OK_AND_ASSIGN(const auto blocks, LoadBlocks(*model, ctx));

  // Prompts of different length advance together, are reordered and doubled.
  std::vector<std::vector<int32_t>> sequences = {
      {5, 9, 200, 31, 7, 7, 12, 90, 4, 17, 66}, {3}, {250, 1, 2}};
  DecodingSession session(*model, blocks);
  ASSERT_OK_AND_ASSIGN(Tensor logits, session.Advance(sequences, ctx));
  for (int step = 0; step < 12; ++step) {
    if (step == 3) {
      const std::vector<int> sources = {2, 0, 0};
      session.Select(sources);
      sequences = {sequences[2], sequences[0], sequences[0]};
    }
    std::vector<std::vector<int32_t>> next;
    for (size_t i = 0; i < sequences.size(); ++i) {
      next.push_back({static_cast<int32_t>((37 * step + 11 * i) % 256)});
      sequences[i].push_back(next.back()[0]);
    }
    ASSERT_OK_AND_ASSIGN(logits, session.Advance(next, ctx));
    for (size_t i = 0; i < sequences.size(); ++i) {
      ASSERT_OK_AND_ASSIGN(const Tensor whole,
                           Recompute(*model, blocks, sequences[i], ctx));
      for (int64_t v = 0; v < whole.cols(); ++v) {
        ASSERT_NEAR(logits.row(static_cast<int64_t>(i))[v], whole.row(0)[v],
                    2e-5)
            << "step " << step << " sequence " << i << " token " << v;
      }
    }
  }
  EXPECT_GT(session.state_bytes(), 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Families, FamilyGenerationTest,
    testing::Values("bloom", "falcon40b", "falcon7b", "gemma", "gemma2", "gpt2",
                    "gpt_neox", "gptj", "llama", "llama3", "mamba", "mistral",
                    "mixtral", "mpt", "opt", "opt_postnorm", "phi", "phi3",
                    "qwen2", "stablelm", "starcoder2"),
    [](const auto& info) { return std::string(info.param); });

class GeneratorTest : public testing::Test {
 protected:
  void SetUp() override {
    test::WriteTinyModel(directory_.path());
    ASSERT_OK_AND_ASSIGN(checkpoint_, Checkpoint::Open(directory_.path()));
    ASSERT_OK_AND_ASSIGN(model_, Model::Open(checkpoint_));
  }

  absl::StatusOr<std::vector<Continuations>> Generate(
      const std::vector<std::vector<int32_t>>& prompts,
      const GenerationOptions& options) {
    auto generator = Generator::Load(*model_, ctx_);
    if (!generator.ok()) return generator.status();
    return generator->Generate(prompts, options, NoProgress, ctx_);
  }

  test::TempDir directory_;
  std::unique_ptr<Device> device_ = NewCpuDevice(1);
  ExecutionContext ctx_{device_.get()};
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::unique_ptr<Model> model_;
};

const std::vector<std::vector<int32_t>> kPrompts = {
    {10, 20, 30, 40, 50}, {7}, {99, 98, 97}};

TEST_F(GeneratorTest, GreedyFollowsTheLikeliestTokens) {
  GenerationOptions options;
  options.max_new_tokens = 9;
  ASSERT_OK_AND_ASSIGN(const auto results, Generate(kPrompts, options));
  ASSERT_OK_AND_ASSIGN(const auto blocks, LoadBlocks(*model_, ctx_));
  for (size_t i = 0; i < kPrompts.size(); ++i) {
    std::vector<int32_t> tokens = kPrompts[i];
    double sum = 0;
    for (int step = 0; step < 9; ++step) {
      ASSERT_OK_AND_ASSIGN(const Tensor logits,
                           Recompute(*model_, blocks, tokens, ctx_));
      const int32_t best = ArgMax(logits.values());
      sum += LogSoftmax(logits.values())[static_cast<size_t>(best)];
      tokens.push_back(best);
      ASSERT_EQ(results[i][0].tokens[static_cast<size_t>(step)], best);
    }
    EXPECT_EQ(results[i][0].tokens.size(), 9u);
    EXPECT_NEAR(results[i][0].log_probability, sum, 1e-4);
    EXPECT_FALSE(results[i][0].stopped);
  }
}

TEST_F(GeneratorTest, ResultsDoNotDependOnOtherPrompts) {
  GenerationOptions options;
  options.max_new_tokens = 12;
  options.sampling.temperature = 1.0;
  options.sampling.top_k = 50;
  options.seed = 3;
  ASSERT_OK_AND_ASSIGN(const auto together, Generate(kPrompts, options));
  options.batch_prompts = 1;
  ASSERT_OK_AND_ASSIGN(const auto one_by_one, Generate(kPrompts, options));
  for (size_t i = 0; i < kPrompts.size(); ++i) {
    EXPECT_EQ(together[i][0].tokens, one_by_one[i][0].tokens);
  }
  options.seed = 4;
  ASSERT_OK_AND_ASSIGN(const auto other, Generate(kPrompts, options));
  EXPECT_NE(other[0][0].tokens, together[0][0].tokens);
}

TEST_F(GeneratorTest, StopTokensEndOnePromptAndNotTheOthers) {
  GenerationOptions options;
  options.max_new_tokens = 8;
  ASSERT_OK_AND_ASSIGN(const auto free, Generate(kPrompts, options));
  // The third token of the first prompt's continuation becomes a stop token.
  options.stop_tokens = {free[0][0].tokens[2]};
  ASSERT_OK_AND_ASSIGN(const auto stopped, Generate(kPrompts, options));
  EXPECT_TRUE(stopped[0][0].stopped);
  EXPECT_LE(stopped[0][0].tokens.size(), 2u);
  for (size_t i = 1; i < kPrompts.size(); ++i) {
    const auto& tokens = stopped[i][0].tokens;
    const std::vector<int32_t> begin(
        free[i][0].tokens.begin(),
        free[i][0].tokens.begin() + static_cast<std::ptrdiff_t>(tokens.size()));
    EXPECT_EQ(tokens, begin);
  }
}

TEST_F(GeneratorTest, BeamSearchIsAtLeastAsLikelyAsGreedy) {
  GenerationOptions options;
  options.max_new_tokens = 8;
  ASSERT_OK_AND_ASSIGN(const auto greedy, Generate(kPrompts, options));
  options.beams = 6;
  ASSERT_OK_AND_ASSIGN(const auto beams, Generate(kPrompts, options));
  options.beam_groups = 3;
  options.beam_diversity = 1.0;
  ASSERT_OK_AND_ASSIGN(const auto diverse, Generate(kPrompts, options));
  for (size_t i = 0; i < kPrompts.size(); ++i) {
    ASSERT_EQ(beams[i].size(), 6u);
    EXPECT_GE(beams[i][0].log_probability, greedy[i][0].log_probability - 1e-4);
    for (size_t b = 1; b < 6; ++b) {
      EXPECT_LE(beams[i][b].score, beams[i][b - 1].score);
    }
    ASSERT_EQ(diverse[i].size(), 6u);
    EXPECT_NE(diverse[i][0].tokens, diverse[i][2].tokens);
  }
}

TEST_F(GeneratorTest, WhatCompletesATextEndsItWithBeamsToo) {
  GenerationOptions options;
  options.max_new_tokens = 8;
  ASSERT_OK_AND_ASSIGN(const auto free, Generate(kPrompts, options));
  // Two tokens that the first prompt's continuation has one after the other.
  const int32_t first = free[0][0].tokens[1];
  const int32_t second = free[0][0].tokens[2];
  options.is_complete = [=](absl::Span<const int32_t> tokens) {
    return tokens.size() >= 2 && tokens[tokens.size() - 2] == first &&
           tokens.back() == second;
  };
  for (const int beams : {1, 6}) {
    options.beams = beams;
    ASSERT_OK_AND_ASSIGN(const auto results, Generate(kPrompts, options));
    bool any_complete = false;
    for (const Continuations& continuations : results) {
      for (const Beam& beam : continuations) {
        const absl::Span<const int32_t> tokens = beam.tokens;
        EXPECT_EQ(beam.stopped, options.is_complete(tokens));
        any_complete = any_complete || beam.stopped;
        for (size_t n = 0; n < tokens.size(); ++n) {
          EXPECT_FALSE(options.is_complete(tokens.first(n)));
        }
      }
    }
    EXPECT_TRUE(any_complete) << beams << " beams";
  }
}

TEST_F(GeneratorTest, OptionsAndPromptsAreChecked) {
  GenerationOptions options;
  EXPECT_THAT(
      Generate({{1}, {}}, options),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("prompt 2")));
  EXPECT_THAT(Generate({{256}}, options),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("256")));
  options.sampling.top_p = 0;
  EXPECT_THAT(Generate({{1}}, options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("top_p")));
  options.sampling.top_p = 1;
  options.beams = 2;
  options.sampling.temperature = 1;
  EXPECT_THAT(Generate({{1}}, options),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("beams")));
}

TEST_F(GeneratorTest, CancellationIsHeeded) {
  ctx_.RequestCancel();
  EXPECT_THAT(Generate(kPrompts, {}),
              StatusIs(absl::StatusCode::kCancelled, testing::_));
}

}  // namespace
}  // namespace quantd
