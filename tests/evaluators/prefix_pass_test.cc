// Scores of requests that share their beginnings, against the same requests
// each run by itself.
#include "evaluators/prefix_pass.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "evaluators/scorer.h"
#include "gmock/gmock.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::TempDir;

using Scores = std::vector<std::vector<TokenScore>>;

absl::StatusOr<Scores> Score(const Model& model,
                             const std::vector<ScoreRequest>& requests,
                             const ScorerOptions& options, int threads,
                             ComputeType compute = ComputeType::kF32) {
  const auto device = NewCpuDevice(threads);
  ExecutionContext ctx(device.get());
  ctx.set_compute_type(compute);
  ASSIGN_OR_RETURN(Scorer scorer, Scorer::Load(model, options, ctx));
  Scores scores(requests.size());
  RETURN_IF_ERROR(scorer.Score(
      requests, {},
      [&](size_t index, absl::Span<const TokenScore> result) {
        EXPECT_TRUE(scores[index].empty()) << "each request once";
        scores[index].assign(result.begin(), result.end());
        return absl::OkStatus();
      },
      [](double) {}, ctx));
  return scores;
}

void ExpectNear(const Scores& got, const Scores& expected, double tolerance) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].size(), expected[i].size()) << i;
    for (size_t t = 0; t < got[i].size(); ++t) {
      EXPECT_NEAR(got[i][t].nll, expected[i][t].nll, tolerance) << i;
      EXPECT_NEAR(got[i][t].entropy, expected[i][t].entropy, tolerance) << i;
    }
  }
}

// A few-shot header, questions, answers of one and of more tokens; one request
// that ends inside another; token ids below `vocabulary`.
std::vector<ScoreRequest> Questions(int vocabulary) {
  std::vector<ScoreRequest> requests;
  const auto add = [&](const std::string& text, size_t scored) {
    ScoreRequest request;
    for (const unsigned char c : text) request.tokens.push_back(c % vocabulary);
    request.target_count = static_cast<int>(scored);
    request.first_target = static_cast<int>(text.size() - scored);
    requests.push_back(std::move(request));
  };
  const std::string header = "what came before the questions. ";
  for (const char* question : {"how many? ", "how old is it? ", "why? "}) {
    for (const char* answer : {"A", "B", "seven", "severe", "nobody knows"}) {
      add(header + question + answer, std::string(answer).size());
    }
  }
  add(header.substr(0, 20), 5);
  add("something else", 13);
  return requests;
}

class PrefixPassTest : public testing::Test {
 protected:
  void Check(const std::string& directory, double tolerance) {
    ASSERT_OK_AND_ASSIGN(auto checkpoint, Checkpoint::Open(directory));
    ASSERT_OK_AND_ASSIGN(const auto model, Model::Open(checkpoint));
    const std::vector<ScoreRequest> requests =
        Questions(model->description().vocabulary_size);
    ScorerOptions alone;
    alone.prefixes.min_shared_tokens = 0;
    alone.prefixes.batch_tokens = 1;
    ASSERT_OK_AND_ASSIGN(const Scores expected,
                         Score(*model, requests, alone, 1));
    for (const int64_t batch_tokens : {8, 60, 100000}) {
      for (const int64_t min_shared : {1, 6}) {
        SCOPED_TRACE(absl::StrCat(batch_tokens, " ", min_shared));
        ScorerOptions options;
        options.prefixes.batch_tokens = batch_tokens;
        options.prefixes.min_shared_tokens = min_shared;
        options.activations.directory = scratch_.path();
        ASSERT_OK_AND_ASSIGN(const Scores shared,
                             Score(*model, requests, options, 1));
        ExpectNear(shared, expected, tolerance);
        ASSERT_OK_AND_ASSIGN(const Scores threads,
                             Score(*model, requests, options, 4));
        EXPECT_TRUE(threads == shared) << "threads";
        options.order = ScoringOrder::kLayerMajor;
        options.activations.memory_bytes = 2000;
        for (const int64_t portion_rows :
             {int64_t{1}, int64_t{70}, kPortionRows}) {
          options.portion_rows = portion_rows;
          ASSERT_OK_AND_ASSIGN(const Scores layers,
                               Score(*model, requests, options, 2));
          EXPECT_TRUE(layers == shared) << "layer-major " << portion_rows;
        }
      }
    }
  }

  // In the strict type nothing depends on what runs together: not a bit.
  void CheckStrict(const std::string& directory) {
    ASSERT_OK_AND_ASSIGN(auto checkpoint, Checkpoint::Open(directory));
    ASSERT_OK_AND_ASSIGN(const auto model, Model::Open(checkpoint));
    const std::vector<ScoreRequest> requests =
        Questions(model->description().vocabulary_size);
    ScorerOptions options;
    options.prefixes.min_shared_tokens = 0;
    options.prefixes.batch_tokens = 1;
    ASSERT_OK_AND_ASSIGN(const Scores alone, Score(*model, requests, options, 1,
                                                   ComputeType::kF32Strict));
    for (const int64_t batch_tokens : {8, 60, 100000}) {
      for (const int64_t min_shared : {0, 1, 6}) {
        options.prefixes.batch_tokens = batch_tokens;
        options.prefixes.min_shared_tokens = min_shared;
        ASSERT_OK_AND_ASSIGN(
            const Scores shared,
            Score(*model, requests, options, 2, ComputeType::kF32Strict));
        EXPECT_TRUE(shared == alone) << batch_tokens << " " << min_shared;
      }
    }
    ASSERT_OK_AND_ASSIGN(const Scores usual,
                         Score(*model, requests, options, 2));
    ExpectNear(usual, alone, 2e-4);
  }

  TempDir scratch_;
};

TEST_F(PrefixPassTest, SharingChangesScoresByRoundingOnly) {
  TempDir directory;
  test::WriteTinyModel(directory.path(), {});
  Check(directory.path(), 2e-5);
}

// Every mixer, position scheme and window, with reference weights.
TEST_F(PrefixPassTest, SharingWorksInEveryFamily) {
  const std::string fixtures = SharedPath("fixtures");
  if (!std::filesystem::exists(fixtures)) {
    GTEST_SKIP() << fixtures << " is absent";
  }
  int checked = 0;
  for (const auto& entry : std::filesystem::directory_iterator(fixtures)) {
    if (!entry.is_directory()) continue;
    SCOPED_TRACE(entry.path().filename().string());
    auto checkpoint = Checkpoint::Open(entry.path().string());
    if (!checkpoint.ok()) continue;
    ASSERT_OK_AND_ASSIGN(const ModelDescription description,
                         DescribeModel(**checkpoint));
    if (!description.predicts_next_token) continue;
    Check(entry.path().string(), 2e-4);
    CheckStrict(entry.path().string());
    ++checked;
  }
  EXPECT_GE(checked, 20);
}

TEST_F(PrefixPassTest, StrictScoresDoNotDependOnTheirCompany) {
  TempDir directory;
  test::WriteTinyModel(directory.path(), {});
  CheckStrict(directory.path());
}

// With trunks (a budget below the header) and without, whatever is known: what
// remains gets the same bits.
TEST_F(PrefixPassTest, WhatIsKnownIsLeftOut) {
  TempDir directory;
  test::WriteTinyModel(directory.path(), {});
  ASSERT_OK_AND_ASSIGN(auto checkpoint, Checkpoint::Open(directory.path()));
  ASSERT_OK_AND_ASSIGN(const auto model, Model::Open(checkpoint));
  const std::vector<ScoreRequest> requests = Questions(256);
  const auto device = NewCpuDevice(1);
  ExecutionContext ctx(device.get());
  for (const int64_t batch_tokens : {8, 25, 60, 100000}) {
    for (const auto order :
         {ScoringOrder::kBatchMajor, ScoringOrder::kLayerMajor}) {
      ScorerOptions options;
      options.order = order;
      options.prefixes.batch_tokens = batch_tokens;
      options.prefixes.min_shared_tokens = 2;
      options.portion_rows = 40;
      ASSERT_OK_AND_ASSIGN(const Scores all,
                           Score(*model, requests, options, 1));
      ASSERT_OK_AND_ASSIGN(Scorer scorer, Scorer::Load(*model, options, ctx));
      for (unsigned pattern = 0; pattern < 64; ++pattern) {
        std::vector<bool> known(requests.size());
        for (size_t i = 0; i < known.size(); ++i) {
          known[i] = ((pattern * 2654435761u) >> (i % 17) & 1) != 0 ||
                     (pattern % 8 == 7 && i % 5 != 0) || pattern == 0;
        }
        size_t scored = 0;
        ASSERT_TRUE(scorer
                        .Score(
                            requests, known,
                            [&](size_t i, absl::Span<const TokenScore> got) {
                              EXPECT_FALSE(known[i]);
                              EXPECT_TRUE(got == absl::MakeConstSpan(all[i]));
                              ++scored;
                              return absl::OkStatus();
                            },
                            [](double) {}, ctx)
                        .ok());
        EXPECT_EQ(scored, static_cast<size_t>(
                              std::count(known.begin(), known.end(), false)));
        EXPECT_EQ(scorer.tokens_run() == 0, scored == 0);
      }
    }
  }
}

TEST_F(PrefixPassTest, TokensRunAreCounted) {
  TempDir directory;
  test::WriteTinyModel(directory.path(), {});
  ASSERT_OK_AND_ASSIGN(auto checkpoint, Checkpoint::Open(directory.path()));
  ASSERT_OK_AND_ASSIGN(const auto model, Model::Open(checkpoint));
  const std::vector<ScoreRequest> requests = Questions(256);
  const auto device = NewCpuDevice(1);
  ExecutionContext ctx(device.get());
  ASSERT_OK_AND_ASSIGN(Scorer scorer, Scorer::Load(*model, {}, ctx));
  ASSERT_TRUE(scorer
                  .Score(
                      requests, {},
                      [](size_t, absl::Span<const TokenScore>) {
                        return absl::OkStatus();
                      },
                      [](double) {}, ctx)
                  .ok());
  int64_t unshared = 0;
  for (const ScoreRequest& request : requests) {
    unshared += static_cast<int64_t>(request.tokens.size()) - 1;
  }
  EXPECT_EQ(scorer.tokens_unshared(), unshared);
  EXPECT_LT(scorer.tokens_run(), unshared / 3);
}

}  // namespace
}  // namespace quantd
