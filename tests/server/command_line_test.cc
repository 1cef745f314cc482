#include "server/command_line.h"

#include <stdlib.h>

#include "absl/strings/str_cat.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(CommandLineTest, OnlyTheDataDirectoryIsRequired) {
  ASSERT_OK_AND_ASSIGN(const ServerOptions options,
                       ParseServeFlags({"--data-dir", "/d"}));
  const ServerOptions defaults;
  EXPECT_EQ(options.data_directory, "/d");
  EXPECT_EQ(options.listen, defaults.listen);
  EXPECT_EQ(options.slots, defaults.slots);
  EXPECT_FALSE(options.insecure_listen);
  EXPECT_THAT(ParseServeFlags({}), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("--data-dir")));
}

TEST(CommandLineTest, EveryFlagReachesItsOption) {
  ASSERT_OK_AND_ASSIGN(
      const ServerOptions options,
      ParseServeFlags(
          {"--data_dir=/d", "--listen=127.0.0.1:1", "--metrics-listen", "",
           "--slots", "3", "--job-memory", "1.5G", "--lease-seconds=2.5",
           "--drain_seconds=0", "--keepalive-seconds=20",
           "--keepalive-timeout-seconds=5", "--max-connection-age-seconds=0",
           "--max-connection-age-grace-seconds=7",
           "--max-call-wait-seconds=0.5", "--model-root=/a,/b",
           "--log-level=debug", "--insecure-listen"}));
  EXPECT_EQ(options.data_directory, "/d");
  EXPECT_EQ(options.listen, "127.0.0.1:1");
  EXPECT_EQ(options.metrics_listen, "");
  EXPECT_EQ(options.slots, 3);
  EXPECT_EQ(options.job_memory_bytes, 1536u << 20);
  EXPECT_EQ(options.lease, absl::Seconds(2.5));
  EXPECT_EQ(options.drain, absl::ZeroDuration());
  EXPECT_EQ(options.keepalive, absl::Seconds(20));
  EXPECT_EQ(options.keepalive_timeout, absl::Seconds(5));
  EXPECT_EQ(options.max_connection_age, absl::ZeroDuration());
  EXPECT_EQ(options.max_connection_age_grace, absl::Seconds(7));
  EXPECT_EQ(options.max_call_wait, absl::Milliseconds(500));
  EXPECT_THAT(options.model_roots, ElementsAre("/a", "/b"));
  EXPECT_EQ(options.log_level, LogLevel::kDebug);
  EXPECT_TRUE(options.insecure_listen);
}

TEST(CommandLineTest, EveryMistakeNamesItsFlag) {
  const struct {
    std::string argument;
    std::string part;
  } kMistakes[] = {
      {"--slot=1", "--slot"},
      {"data", "\"data\""},
      {"-x", "\"-x\""},
      {"--", "\"--\""},
      {"--slots=0", "--slots"},
      {"--slots=many", "many"},
      {"--job-memory=lots", "1536M"},
      {"--job-memory=0", "--job-memory"},
      {"--lease-seconds=0", "--lease-seconds"},
      {"--lease-seconds=nan", "--lease-seconds"},
      {"--drain-seconds=-1", "--drain-seconds"},
      {"--log-level=loud", "loud"},
      {"--model-root=relative", "relative"},
      {"--insecure-listen=perhaps", "perhaps"},
      {"--listen", "--listen"},
  };
  for (const auto& mistake : kMistakes) {
    EXPECT_THAT(
        ParseServeFlags({"--data-dir=/d", mistake.argument}),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(mistake.part)))
        << mistake.argument;
  }
}

TEST(CommandLineTest, TheHelpNamesEveryFlagWithItsDefault) {
  EXPECT_THAT(
      ServeFlagsHelp(),
      AllOf(HasSubstr("--data-dir"), HasSubstr("--listen"),
            HasSubstr("--metrics-listen"), HasSubstr("--slots"),
            HasSubstr("--lease-seconds"), HasSubstr("--drain-seconds"),
            HasSubstr("--model-root"), HasSubstr("--log-level"),
            HasSubstr("--insecure-listen"), HasSubstr("[127.0.0.1:50151]")));
}

TEST(CommandLineTest, AWorkerTakesItsSecretFromTheEnvironment) {
  const std::vector<std::string> args = {"--server", "127.0.0.1:1", "--job",
                                         "jobs/j",   "--attempt",   "2"};
  ::unsetenv("QUANTD_ATTEMPT_TOKEN");
  EXPECT_THAT(ParseWorkerFlags(args),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("QUANTD_ATTEMPT_TOKEN")));
  ::setenv("QUANTD_ATTEMPT_TOKEN", "secret", 1);
  ASSERT_OK_AND_ASSIGN(const WorkerOptions options, ParseWorkerFlags(args));
  EXPECT_EQ(options.server_address, "127.0.0.1:1");
  EXPECT_EQ(options.job, "jobs/j");
  EXPECT_EQ(options.attempt, 2u);
  EXPECT_EQ(options.token, "secret");
  EXPECT_THAT(
      ParseWorkerFlags({"--server=a", "--job=b"}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--attempt")));
  EXPECT_THAT(
      ParseWorkerFlags({"--server=a", "--job=b", "--attempt=0"}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("--attempt")));
  ::unsetenv("QUANTD_ATTEMPT_TOKEN");
}

}  // namespace
}  // namespace quantd::test
