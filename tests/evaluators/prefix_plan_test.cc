#include "evaluators/prefix_plan.h"

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// All targets from `first` on.
ScoreRequest Request(const std::string& tokens, int first = 1) {
  ScoreRequest request;
  request.tokens.assign(tokens.begin(), tokens.end());
  request.first_target = first;
  request.target_count = static_cast<int>(tokens.size()) - first;
  return request;
}

PrefixOptions Options(int64_t batch_tokens, int64_t min_shared) {
  PrefixOptions options;
  options.batch_tokens = batch_tokens;
  options.min_shared_tokens = min_shared;
  return options;
}

std::string TokensOf(const std::vector<ScoreRequest>& requests,
                     const PrefixNode& node) {
  const std::vector<int32_t>& tokens = requests[node.request].tokens;
  return std::string(tokens.begin() + node.begin, tokens.begin() + node.end);
}

std::vector<std::string> NodeTexts(const std::vector<ScoreRequest>& requests,
                                   const PrefixPlan& plan) {
  std::vector<std::string> texts;
  for (const PrefixNode& node : plan.nodes) {
    texts.push_back(TokensOf(requests, node));
  }
  return texts;
}

// What every plan owes: each row in one batch, a level's nodes continue those
// of the level before or the trunk, and each target of each request is
// predicted by the row behind exactly the tokens before it.
void ExpectSound(const std::vector<ScoreRequest>& requests,
                 const PrefixPlan& plan) {
  std::vector<std::string> before;  // by row, with its own token
  std::vector<std::string> node_text;
  for (const PrefixNode& node : plan.nodes) {
    ASSERT_EQ(node.first_row, static_cast<int64_t>(before.size()));
    ASSERT_GT(node.tokens(), 0);
    std::string text;
    if (node.parent >= 0) {
      ASSERT_LT(node.parent, static_cast<int>(node_text.size()));
      text = node_text[static_cast<size_t>(node.parent)];
    }
    ASSERT_EQ(static_cast<int64_t>(text.size()), node.begin);
    for (const char token : TokensOf(requests, node)) {
      text += token;
      before.push_back(text);
    }
    node_text.push_back(text);
  }
  ASSERT_EQ(plan.rows, static_cast<int64_t>(before.size()));

  std::map<std::pair<size_t, int>, int> seen;
  std::vector<int> trunks;
  int next_node = 0;
  int64_t next_row = 0;
  for (const PrefixBatch& batch : plan.batches) {
    ASSERT_EQ(batch.first_row, next_row);
    next_row += batch.rows;
    ASSERT_EQ(batch.trunk, trunks.empty() ? -1 : trunks.back());
    PrefixLevel above = {batch.trunk, batch.trunk < 0 ? 0 : 1};
    for (const PrefixLevel& level : batch.levels) {
      ASSERT_EQ(level.first, next_node);
      ASSERT_GT(level.count, 0);
      next_node += level.count;
      for (int n = level.first; n < next_node; ++n) {
        const int parent = plan.nodes[static_cast<size_t>(n)].parent;
        if (above.count == 0) {
          ASSERT_EQ(parent, -1);
        } else {
          ASSERT_GE(parent, above.first);
          ASSERT_LT(parent, above.first + above.count);
        }
      }
      above = level;
    }
    if (batch.is_trunk) {
      ASSERT_EQ(batch.levels.size(), 1u);
      ASSERT_EQ(batch.levels[0].count, 1);
      trunks.push_back(batch.levels[0].first);
    }
    ASSERT_LE(batch.finished_trunks, static_cast<int>(trunks.size()));
    trunks.resize(trunks.size() - static_cast<size_t>(batch.finished_trunks));
    int64_t last = -1;
    for (const ScoredTarget& target : batch.targets) {
      ASSERT_GE(target.row, std::max(last, batch.first_row));
      ASSERT_LT(target.row, batch.first_row + batch.rows);
      last = target.row;
      const ScoreRequest& request = requests[target.request];
      const int position = request.first_target + target.index;
      ASSERT_EQ(before[static_cast<size_t>(target.row)],
                std::string(request.tokens.begin(),
                            request.tokens.begin() + position));
      ASSERT_EQ(target.token, request.tokens[static_cast<size_t>(position)]);
      ++seen[{target.request, target.index}];
    }
  }
  ASSERT_TRUE(trunks.empty());
  ASSERT_EQ(next_row, plan.rows);
  size_t targets = 0;
  for (const ScoreRequest& request : requests) {
    targets += static_cast<size_t>(request.target_count);
  }
  ASSERT_EQ(seen.size(), targets);
  for (const auto& entry : seen) ASSERT_EQ(entry.second, 1);
}

TEST(PrefixPlanTest, WhatRequestsShareRunsOnce) {
  const std::vector<ScoreRequest> requests = {Request("abcd", 2), Request("xy"),
                                              Request("abef", 2)};
  ASSERT_OK_AND_ASSIGN(const PrefixPlan plan,
                       PlanPrefixes(requests, Options(100, 2)));
  ExpectSound(requests, plan);
  EXPECT_THAT(NodeTexts(requests, plan), ElementsAre("ab", "x", "c", "e"));
  EXPECT_EQ(plan.batches.size(), 1u);
  EXPECT_EQ(plan.rows, 5);
  EXPECT_EQ(plan.unshared_rows, 3 + 1 + 3);
  EXPECT_EQ(plan.most_cached_rows, 3 + 3 + 1);
}

TEST(PrefixPlanTest, RequestsThatDifferInTheirLastTokenAreOneRun) {
  const std::vector<ScoreRequest> requests = {
      Request("question A", 9), Request("question B", 9),
      Request("question C", 9), Request("question A", 9)};
  ASSERT_OK_AND_ASSIGN(const PrefixPlan plan,
                       PlanPrefixes(requests, Options(100, 4)));
  ExpectSound(requests, plan);
  EXPECT_THAT(NodeTexts(requests, plan), ElementsAre("question "));
  EXPECT_EQ(plan.most_cached_rows, 0);
}

TEST(PrefixPlanTest, ShortSharedBeginningsRunAgain) {
  const std::vector<ScoreRequest> requests = {Request("abcdx"),
                                              Request("abcey")};
  ASSERT_OK_AND_ASSIGN(const PrefixPlan plan,
                       PlanPrefixes(requests, Options(100, 4)));
  ExpectSound(requests, plan);
  EXPECT_THAT(NodeTexts(requests, plan), ElementsAre("abcd", "abce"));
}

TEST(PrefixPlanTest, ARequestMayEndWhereOthersGoOn) {
  const std::vector<ScoreRequest> requests = {
      Request("abcdefgh"), Request("abcdx"), Request("abcdefgh"),
      Request("abz")};
  for (const int64_t min_shared : {0, 1, 2, 3, 4, 7, 9}) {
    ASSERT_OK_AND_ASSIGN(const PrefixPlan plan,
                         PlanPrefixes(requests, Options(100, min_shared)));
    ExpectSound(requests, plan);
  }
}

TEST(PrefixPlanTest, WithoutSharingRequestsKeepTheirOrderAndTheirOwnRows) {
  const std::vector<ScoreRequest> requests = {Request("zzzz"), Request("aaaa"),
                                              Request("zzzz"), Request("mmmm")};
  ASSERT_OK_AND_ASSIGN(const PrefixPlan plan,
                       PlanPrefixes(requests, Options(6, 0)));
  ExpectSound(requests, plan);
  EXPECT_THAT(NodeTexts(requests, plan),
              ElementsAre("zzz", "aaa", "zzz", "mmm"));
  EXPECT_EQ(plan.batches.size(), 2u);
  EXPECT_EQ(plan.rows, plan.unshared_rows);
  EXPECT_EQ(plan.most_rows, 6);
}

TEST(PrefixPlanTest, AHeaderTooLongForItsQuestionsBecomesATrunk) {
  std::vector<ScoreRequest> requests;
  for (const char* question : {"first", "second", "third", "fourth"}) {
    for (const char* answer : {"yes", "no"}) {
      requests.push_back(
          Request(std::string("few-shot header ") + question + answer, 16));
    }
  }
  ASSERT_OK_AND_ASSIGN(const PrefixPlan plan,
                       PlanPrefixes(requests, Options(20, 3)));
  ExpectSound(requests, plan);
  EXPECT_TRUE(plan.batches[0].is_trunk);
  EXPECT_EQ(TokensOf(requests, plan.nodes[0]), "few-shot header ");
  EXPECT_GT(plan.batches.size(), 2u);
  EXPECT_LE(plan.most_rows, 20);
  int finished = 0;
  for (const PrefixBatch& batch : plan.batches) {
    finished += batch.finished_trunks;
  }
  EXPECT_GE(finished, 1);
  // Everything is run once: 16 of the header, 5 + 6 + 5 + 6 of the questions,
  // ("f" is shared by too little), and the answers less their last token.
  EXPECT_EQ(plan.rows, 16 + 22 + 4 * (2 + 1));
}

TEST(PrefixPlanTest, RandomRequestsAreSoundAndNeverRunMoreThanTheyNeed) {
  std::mt19937 engine(5);
  for (int round = 0; round < 400; ++round) {
    std::vector<ScoreRequest> requests;
    const int count = 1 + static_cast<int>(engine() % 30);
    for (int i = 0; i < count; ++i) {
      std::string text;
      const size_t length = 2 + engine() % 14;
      while (text.size() < length)
        text += static_cast<char>('a' + engine() % 2);
      const int first = 1 + static_cast<int>(engine() % (length - 1));
      ScoreRequest request = Request(text, first);
      request.target_count =
          1 +
          static_cast<int>(engine() % (length - static_cast<size_t>(first)));
      requests.push_back(std::move(request));
    }
    const int64_t min_shared = static_cast<int64_t>(engine() % 5);
    const int64_t budget = 1 + static_cast<int64_t>(engine() % 40);
    ASSERT_OK_AND_ASSIGN(const PrefixPlan plan,
                         PlanPrefixes(requests, Options(budget, min_shared)));
    ExpectSound(requests, plan);
    EXPECT_LE(plan.rows, plan.unshared_rows);
    if (min_shared == 0) {
      EXPECT_EQ(plan.rows, plan.unshared_rows);
    }
    if (min_shared == 1) {
      std::set<std::string> beginnings;
      for (const ScoreRequest& request : requests) {
        const int length = request.first_target + request.target_count - 1;
        for (int n = 1; n <= length; ++n) {
          beginnings.emplace(request.tokens.begin(),
                             request.tokens.begin() + n);
        }
      }
      EXPECT_EQ(plan.rows, static_cast<int64_t>(beginnings.size()));
    }
  }
}

TEST(PrefixPlanTest, AChainOfBeginningsNeedsNoDeepStack) {
  std::vector<ScoreRequest> requests;
  std::string text = "a";
  for (int i = 0; i < 3000; ++i) {
    text += 'a';
    requests.push_back(Request(text));
  }
  for (const int64_t budget : {1, 100, 1 << 20}) {
    ASSERT_OK_AND_ASSIGN(const PrefixPlan plan,
                         PlanPrefixes(requests, Options(budget, 1)));
    EXPECT_EQ(plan.rows, 3000);
  }
}

TEST(PrefixPlanTest, NoRequestsAreAnEmptyPlan) {
  ASSERT_OK_AND_ASSIGN(const PrefixPlan plan, PlanPrefixes({}, {}));
  EXPECT_TRUE(plan.batches.empty());
}

TEST(PrefixPlanTest, TargetsBeyondTheTokensAreRefused) {
  ScoreRequest request = Request("abcd");
  request.target_count = 4;
  EXPECT_THAT(PlanPrefixes({request}, {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("targets 1..4 of 4 tokens")));
  request = Request("abcd");
  request.first_target = 0;
  EXPECT_FALSE(PlanPrefixes({request}, {}).ok());
  request = Request("abcd");
  request.target_count = 0;
  EXPECT_FALSE(PlanPrefixes({request}, {}).ok());
  request.first_target = 2147483647;
  request.target_count = 2147483647;
  EXPECT_FALSE(PlanPrefixes({request}, {}).ok());
}

// What portions owe: every needed batch in one of them, with the trunks that it
// continues, and no more rows than allowed unless it is one batch with its
// trunks.
void ExpectSoundPortions(const PrefixPlan& plan,
                         const std::vector<bool>& needed, int64_t most_rows) {
  const std::vector<PrefixPortion> portions =
      DividePlan(plan, needed, most_rows);
  std::vector<int> scored(plan.batches.size(), 0);
  size_t end = 0;
  for (const PrefixPortion& portion : portions) {
    ASSERT_GE(portion.first, end);
    ASSERT_GT(portion.last, portion.first);
    ASSERT_TRUE(needed[portion.first]);
    end = portion.last;
    std::set<int> trunks;
    int64_t rows = 0;
    int batches = 0;
    for (size_t i = 0; i < plan.batches.size(); ++i) {
      const bool own = i >= portion.first && i < portion.last;
      if (own && needed[i]) {
        ++scored[i];
        ASSERT_TRUE(portion.runs[i]);
      }
      if (!portion.runs[i]) continue;
      const PrefixBatch& batch = plan.batches[i];
      ASSERT_TRUE(own || (i < portion.first && batch.is_trunk));
      if (batch.trunk >= 0) {
        ASSERT_EQ(trunks.count(batch.trunk), 1u);
      }
      if (batch.is_trunk) trunks.insert(batch.levels[0].first);
      rows += batch.rows;
      if (!batch.is_trunk) ++batches;
    }
    ASSERT_EQ(rows, portion.rows);
    if (batches > 1) {
      ASSERT_LE(rows, most_rows);
    }
  }
  for (size_t i = 0; i < needed.size(); ++i) {
    ASSERT_EQ(scored[i], needed[i] ? 1 : 0) << i;
  }
}

TEST(PrefixPlanTest, PortionsHaveAllBatchesAndTheirTrunks) {
  std::mt19937 engine(11);
  size_t most_portions = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<ScoreRequest> requests;
    for (int i = 0; i < 40; ++i) {
      std::string text = "a header";
      const size_t kept = engine() % (text.size() + 1);
      text = text.substr(0, kept);
      for (size_t length = 2 + engine() % 9; length > 0; --length) {
        text += static_cast<char>('a' + engine() % 2);
      }
      requests.push_back(Request(text));
    }
    ASSERT_OK_AND_ASSIGN(const PrefixPlan plan,
                         PlanPrefixes(requests, Options(4 + round % 20, 2)));
    std::vector<bool> known(requests.size());
    for (size_t i = 0; i < known.size(); ++i) known[i] = engine() % 3 == 0;
    if (round % 4 == 0) known.clear();
    const std::vector<bool> needed = NeededBatches(plan, known);
    for (const int64_t most_rows : {int64_t{1}, int64_t{30}, plan.rows}) {
      ExpectSoundPortions(plan, needed, most_rows);
    }
    most_portions =
        std::max(most_portions, DividePlan(plan, needed, 30).size());
    EXPECT_EQ(DividePlan(plan, needed, plan.rows).size(), 1u);
    const std::vector<bool> all_known(requests.size(), true);
    EXPECT_TRUE(DividePlan(plan, NeededBatches(plan, all_known), 30).empty());
  }
  EXPECT_GT(most_portions, 5u);
}

}  // namespace
}  // namespace quantd
