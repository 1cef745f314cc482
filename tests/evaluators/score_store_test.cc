#include "evaluators/score_store.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "evaluators/stored_scoring.h"
#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::quantd::test::TempDir;

namespace fs = std::filesystem;

constexpr uint64_t kRoom = 1 << 20;

ScoreRequest Request(const std::string& tokens, int first = 1) {
  ScoreRequest request;
  request.tokens.assign(tokens.begin(), tokens.end());
  request.first_target = first;
  request.target_count = static_cast<int>(tokens.size()) - first;
  return request;
}

std::vector<TokenScore> Scores(int count, double seed) {
  std::vector<TokenScore> scores;
  for (int i = 0; i < count; ++i)
    scores.push_back({seed + i / 3.0, 0.1 * i, i});
  return scores;
}

std::vector<std::string> FilesIn(const std::string& directory) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(directory)) {
    paths.push_back(entry.path().string());
  }
  return paths;
}

const ScoreContext kContext = {"weights", "", "cpu f32"};

TEST(ScoreStoreTest, ResultsComeBackBitForBit) {
  TempDir directory;
  const ScoreRequest a = Request("abcdef"), b = Request("abcdef", 3);
  TargetDivergence divergence;
  divergence.kl = 1.0 / 3;
  divergence.baseline_top = 5;
  divergence.top_overlap = 0.8;
  {
    ScoreStore store(directory.path(), kContext, kRoom);
    EXPECT_FALSE(store.FindScores(a).has_value());
    ASSERT_TRUE(store.Put(a, absl::MakeConstSpan(Scores(5, 1))).ok());
    ASSERT_TRUE(store.Put(b, absl::MakeConstSpan(Scores(3, 2))).ok());
    EXPECT_EQ(store.FindScores(b), Scores(3, 2)) << "before they are on disk";
  }
  ScoreStore store(directory.path(), kContext, kRoom);
  EXPECT_EQ(store.FindScores(a), Scores(5, 1));
  EXPECT_EQ(store.FindScores(b), Scores(3, 2));
  EXPECT_FALSE(store.FindScores(Request("abcdeg")).has_value());
  EXPECT_FALSE(store.FindDivergences(a).has_value());
  ASSERT_TRUE(
      store.Put(Request("xy"), absl::MakeConstSpan(&divergence, 1)).ok());
  const auto found = store.FindDivergences(Request("xy"));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ((*found)[0].kl, 1.0 / 3);
  EXPECT_EQ((*found)[0].baseline_top, 5);
  EXPECT_EQ((*found)[0].top_overlap, 0.8);
}

TEST(ScoreStoreTest, EverythingResultsDependOnSeparatesThem) {
  TempDir directory;
  {
    ScoreStore store(directory.path(), kContext, kRoom);
    ASSERT_TRUE(
        store.Put(Request("ab"), absl::MakeConstSpan(Scores(1, 1))).ok());
  }
  for (const ScoreContext& other : {ScoreContext{"others", "", "cpu f32"},
                                    ScoreContext{"weights", "base", "cpu f32"},
                                    ScoreContext{"weights", "", "cpu bf16"}}) {
    ScoreStore store(directory.path(), other, kRoom);
    EXPECT_FALSE(store.FindScores(Request("ab")).has_value());
  }
}

// As after a kill, at every length of the file.
TEST(ScoreStoreTest, ATornRecordEndsItsFile) {
  TempDir directory;
  {
    ScoreStore store(directory.path(), kContext, kRoom);
    for (const char* tokens : {"aaaa", "bbbb", "cccc"}) {
      ASSERT_TRUE(
          store.Put(Request(tokens), absl::MakeConstSpan(Scores(3, 1))).ok());
    }
  }
  const std::string path = FilesIn(directory.path())[0];
  std::string whole;
  {
    std::ifstream in(path, std::ios::binary);
    whole.assign(std::istreambuf_iterator<char>(in), {});
  }
  ASSERT_EQ(whole.size() % 3, 0u);
  const size_t record = whole.size() / 3;
  for (size_t size = 0; size <= whole.size(); ++size) {
    std::ofstream(path, std::ios::binary)
        .write(whole.data(), static_cast<long>(size));
    ScoreStore store(directory.path(), kContext, kRoom);
    EXPECT_EQ(store.FindScores(Request("aaaa")).has_value(), size >= record);
    EXPECT_EQ(store.FindScores(Request("cccc")).has_value(),
              size >= 3 * record);
  }
  for (size_t at = record; at < 2 * record; ++at) {
    std::string damaged = whole;
    damaged[at] ^= 4;
    std::ofstream(path, std::ios::binary) << damaged;
    ScoreStore store(directory.path(), kContext, kRoom);
    EXPECT_TRUE(store.FindScores(Request("aaaa")).has_value());
    EXPECT_FALSE(store.FindScores(Request("bbbb")).has_value()) << at;
  }
}

TEST(ScoreStoreTest, WritersHaveFilesOfTheirOwnAndTheOldestGo) {
  TempDir directory;
  {
    ScoreStore one(directory.path(), kContext, kRoom);
    ScoreStore two(directory.path(), kContext, kRoom);
    ASSERT_TRUE(one.Put(Request("ab"), absl::MakeConstSpan(Scores(1, 1))).ok());
    ASSERT_TRUE(two.Put(Request("cd"), absl::MakeConstSpan(Scores(1, 2))).ok());
  }
  ASSERT_EQ(FilesIn(directory.path()).size(), 2u);
  {
    ScoreStore store(directory.path(), kContext, kRoom);
    EXPECT_TRUE(store.FindScores(Request("ab")).has_value());
    EXPECT_TRUE(store.FindScores(Request("cd")).has_value());
  }
  {
    ScoreStore tight(directory.path(), kContext, 100);
    ASSERT_TRUE(
        tight.Put(Request("ef"), absl::MakeConstSpan(Scores(1, 3))).ok());
  }
  ASSERT_EQ(FilesIn(directory.path()).size(), 1u);
  ScoreStore store(directory.path(), kContext, kRoom);
  EXPECT_TRUE(store.FindScores(Request("ef")).has_value());
}

TEST(ScoreStoreTest, WithoutAPlaceNothingIsKept) {
  ScoreStore none("", kContext, kRoom);
  EXPECT_TRUE(none.Put(Request("ab"), absl::MakeConstSpan(Scores(1, 1))).ok());
  EXPECT_FALSE(none.FindScores(Request("ab")).has_value());
  ScoreStore nowhere("/proc/quantd-scores", kContext, kRoom);
  EXPECT_TRUE(
      nowhere.Put(Request("ab"), absl::MakeConstSpan(Scores(1, 1))).ok());
  EXPECT_FALSE(nowhere.Flush().ok());
}

// A run that stops at any request and begins again gives the bits of one that
// did not, and scores nothing twice.
TEST(StoredScoringTest, AnInterruptedRunGoesOn) {
  TempDir model_directory;
  test::WriteTinyModel(model_directory.path(), {});
  const auto checkpoint = *Checkpoint::Open(model_directory.path());
  ASSERT_OK_AND_ASSIGN(const auto model, Model::Open(checkpoint));
  const auto device = NewCpuDevice(2);
  ExecutionContext ctx(device.get());
  ScorerOptions options;
  options.prefixes.batch_tokens = 20;
  ASSERT_OK_AND_ASSIGN(Scorer scorer, Scorer::Load(*model, options, ctx));
  std::vector<ScoreRequest> requests;
  for (const char* end : {"alpha", "beta", "gamma", "delta", "epsilon"}) {
    requests.push_back(Request(std::string("a shared beginning ") + end));
    requests.push_back(Request(std::string(end) + " alone"));
  }
  const auto run = [&](ScoreStore& store, size_t stop_after,
                       std::vector<std::vector<TokenScore>>* results) {
    results->assign(requests.size(), {});
    size_t scored = 0;
    return ScoreByStore(
        requests, scorer, store,
        [&](size_t i, absl::Span<const TokenScore> scores) {
          (*results)[i].assign(scores.begin(), scores.end());
          return ++scored == stop_after ? absl::AbortedError("killed")
                                        : absl::OkStatus();
        },
        [](double) {}, ctx);
  };
  std::vector<std::vector<TokenScore>> expected, got;
  ScoreStore none("", kContext, 0);
  ASSERT_OK_AND_ASSIGN(const StoredScoring first, run(none, 0, &expected));
  EXPECT_EQ(first.kept, 0u);
  EXPECT_EQ(first.checked, 0u);
  EXPECT_GT(first.tokens_run, 0);
  EXPECT_GT(first.tokens_unshared, first.tokens_run);
  for (size_t stop = 1; stop < requests.size(); ++stop) {
    TempDir directory;
    {
      ScoreStore store(directory.path(), kContext, kRoom);
      EXPECT_THAT(run(store, stop, &got),
                  StatusIs(absl::StatusCode::kAborted, testing::_));
    }
    {
      ScoreStore store(directory.path(), kContext, kRoom);
      ASSERT_OK_AND_ASSIGN(const StoredScoring rest, run(store, 0, &got));
      EXPECT_EQ(rest.kept, stop);
      EXPECT_TRUE(got == expected) << stop;
    }
    ScoreStore store(directory.path(), kContext, kRoom);
    ASSERT_OK_AND_ASSIGN(const StoredScoring again, run(store, 0, &got));
    EXPECT_EQ(again.kept, requests.size());
    EXPECT_EQ(again.tokens_run, 0);
    EXPECT_TRUE(got == expected);
  }
}

TEST(StoredScoringTest, AStrictRunProvesItself) {
  TempDir model_directory;
  test::WriteTinyModel(model_directory.path(), {});
  const auto checkpoint = *Checkpoint::Open(model_directory.path());
  ASSERT_OK_AND_ASSIGN(const auto model, Model::Open(checkpoint));
  const auto device = NewCpuDevice(2);
  ExecutionContext ctx(device.get());
  ctx.set_compute_type(ComputeType::kF32Strict);
  std::vector<ScoreRequest> requests;
  for (int i = 0; i < 250; ++i) {
    requests.push_back(Request("a shared beginning " + std::to_string(i)));
  }
  for (const auto order :
       {ScoringOrder::kBatchMajor, ScoringOrder::kLayerMajor}) {
    ScorerOptions options;
    options.order = order;
    ASSERT_OK_AND_ASSIGN(Scorer scorer,
                         Scorer::LoadPair(*model, *model, options, ctx));
    const auto run = [&](ScoreStore& store) {
      return ScoreByStore(
          requests, scorer, store,
          [](size_t, absl::Span<const TokenScore>) { return absl::OkStatus(); },
          [](double) {}, ctx);
    };
    ScoreStore none("", kContext, 0);
    ASSERT_OK_AND_ASSIGN(const StoredScoring scoring, run(none));
    EXPECT_EQ(scoring.checked, 3u);
    EXPECT_LT(scoring.tokens_run, scoring.tokens_unshared);
    ASSERT_OK_AND_ASSIGN(const StoredScoring pairs,
                         ScorePairByStore(
                             requests, scorer, none,
                             [](size_t, absl::Span<const TargetDivergence>) {
                               return absl::OkStatus();
                             },
                             [](double) {}, ctx));
    EXPECT_EQ(pairs.checked, 3u);
    // What a store has is checked too.
    TempDir directory;
    ScoreStore wrong(directory.path(), kContext, kRoom);
    const std::vector<TokenScore> scores(
        static_cast<size_t>(requests[200].target_count));
    ASSERT_TRUE(wrong.Put(requests[200], scores).ok());
    EXPECT_THAT(run(wrong),
                StatusIs(absl::StatusCode::kInternal,
                         testing::HasSubstr("target 0 of request 200")));
  }
}

}  // namespace
}  // namespace quantd
