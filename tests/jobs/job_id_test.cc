#include "jobs/job_id.h"

#include <algorithm>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using test::StatusIs;
using ::testing::HasSubstr;

TEST(JobIdTest, HasTwentySixLowerCaseCharacters) {
  const std::string id = JobIdGenerator().Next(absl::Now());
  EXPECT_EQ(id.size(), 26u);
  EXPECT_TRUE(IsJobId(id)) << id;
  EXPECT_EQ(absl::AsciiStrToLower(id), id);
}

TEST(JobIdTest, TimeIsTheFirstTenCharacters) {
  // 2^40 ms = 1 followed by eight zeros in base 32, in ten characters.
  const std::string id =
      JobIdGenerator().Next(absl::FromUnixMillis(INT64_C(1) << 40));
  EXPECT_EQ(id.substr(0, 10), "0100000000");
}

TEST(JobIdTest, SortsByTime) {
  JobIdGenerator first, second;
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  const std::string earlier = first.Next(now);
  EXPECT_LT(earlier, second.Next(now + absl::Milliseconds(1)));
  EXPECT_LT(earlier, second.Next(now + absl::Hours(24 * 365 * 50)));
}

TEST(JobIdTest, RisesWhileTheClockStandsStillOrGoesBack) {
  JobIdGenerator generator;
  absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  std::string last = generator.Next(now);
  for (int i = 0; i < 1000; ++i) {
    if (i % 10 == 0) now -= absl::Seconds(1);
    const std::string next = generator.Next(now);
    ASSERT_LT(last, next);
    last = next;
  }
}

TEST(JobIdTest, RisesAboveTheFloorOfAnEarlierProcess) {
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  const std::string floor = JobIdGenerator().Next(now + absl::Hours(1));
  JobIdGenerator generator(floor);
  const std::string next = generator.Next(now);
  EXPECT_GT(next, floor);
  EXPECT_TRUE(IsJobId(next));
}

TEST(JobIdTest, CarriesWhenTheRandomPartIsAtItsEnd) {
  const std::string floor = "01hf7yat00zzzzzzzzzzzzzzzz";
  JobIdGenerator generator(floor);
  EXPECT_EQ(generator.Next(absl::UnixEpoch()), "01hf7yat010000000000000000");
}

TEST(JobIdTest, ConcurrentIdsAreDistinct) {
  JobIdGenerator generator;
  constexpr int kThreads = 8, kIds = 500;
  std::vector<std::vector<std::string>> ids(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kIds; ++i) {
        ids[t].push_back(generator.Next(absl::FromUnixSeconds(1)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> all;
  for (const auto& list : ids) {
    EXPECT_TRUE(std::is_sorted(list.begin(), list.end()));
    all.insert(list.begin(), list.end());
  }
  EXPECT_EQ(all.size(), static_cast<size_t>(kThreads * kIds));
}

TEST(JobIdTest, AcceptsNamesAndBareIds) {
  const std::string id = JobIdGenerator().Next(absl::Now());
  ASSERT_OK_AND_ASSIGN(std::string from_name, JobIdOf("jobs/" + id));
  ASSERT_OK_AND_ASSIGN(std::string from_id, JobIdOf(id));
  EXPECT_EQ(from_name, id);
  EXPECT_EQ(from_id, id);
  EXPECT_EQ(JobName(id), "jobs/" + id);
}

TEST(JobIdTest, RefusesWhatCanBeNoJobsName) {
  for (const char* name :
       {"", "jobs/", "models/x", "jobs/../../etc/passwd", "../01hf7yat00zzzz",
        "81hf7yat00zzzzzzzzzzzzzzzz", "01hf7yat00zzzzzzzzzzzzzzzu",
        "01HF7YAT00ZZZZZZZZZZZZZZZZ", "01hf7yat00zzzzzzzzzzzzzzzzz"}) {
    EXPECT_THAT(JobIdOf(name),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr(name)))
        << name;
  }
}

TEST(JobIdTest, TokensAreLongAndDiffer) {
  const std::string token = NewAttemptToken();
  EXPECT_EQ(token.size(), 64u);
  EXPECT_NE(token, NewAttemptToken());
}

TEST(JobIdTest, SecretsAreEqualOnlyWhenEveryByteIs) {
  EXPECT_TRUE(SecretsEqual("", ""));
  EXPECT_TRUE(SecretsEqual("abc", "abc"));
  EXPECT_FALSE(SecretsEqual("abc", "abd"));
  EXPECT_FALSE(SecretsEqual("abc", "bbc"));
  EXPECT_FALSE(SecretsEqual("abc", "ab"));
  EXPECT_FALSE(SecretsEqual("", "a"));
}

}  // namespace
}  // namespace quantd
