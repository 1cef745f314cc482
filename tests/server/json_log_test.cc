#include "server/json_log.h"

#include <sstream>

#include "nlohmann/json.hpp"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::_;

class JsonLogTest : public ::testing::Test {
 protected:
  std::vector<nlohmann::json> Lines() {
    std::vector<nlohmann::json> lines;
    std::istringstream in(text_.str());
    for (std::string line; std::getline(in, line);) {
      lines.push_back(nlohmann::json::parse(line));
    }
    return lines;
  }

  std::ostringstream text_;
  JsonLog log_{LogLevel::kInfo,
               std::make_shared<spdlog::sinks::ostream_sink_mt>(text_)};
};

TEST_F(JsonLogTest, ALineIsOneObjectWithItsFields) {
  log_.Info("job_transition", "started",
            {{"job", "jobs/x"}, {"attempt", 2u}, {"seconds", 1.5}});
  ASSERT_EQ(Lines().size(), 1u);
  const nlohmann::json line = Lines()[0];
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["event"], "job_transition");
  EXPECT_EQ(line["msg"], "started");
  EXPECT_EQ(line["job"], "jobs/x");
  EXPECT_EQ(line["attempt"], 2);
  EXPECT_EQ(line["seconds"], 1.5);
  EXPECT_EQ(line["ts"].get<std::string>().size(),
            std::string("2024-01-01T00:00:00.000000000Z").size());
}

TEST_F(JsonLogTest, HostileTextStaysOnOneLine) {
  log_.Error("e", "a\nb\"c\\\x01", {{"raw", "\xff\xfe\r\n"}});
  ASSERT_EQ(Lines().size(), 1u);
  EXPECT_EQ(Lines()[0]["msg"], "a\nb\"c\\\x01");
  EXPECT_EQ(Lines()[0]["level"], "error");
}

TEST_F(JsonLogTest, BracesAreNotAFormat) {
  log_.Warning("e", "{} {0} %s");
  EXPECT_EQ(Lines()[0]["msg"], "{} {0} %s");
}

TEST_F(JsonLogTest, LinesBelowTheLevelAreDropped) {
  log_.Debug("e", "not seen");
  EXPECT_TRUE(Lines().empty());
}

TEST(ParseLogLevelTest, KnowsFourLevels) {
  EXPECT_EQ(*ParseLogLevel("debug"), LogLevel::kDebug);
  EXPECT_EQ(*ParseLogLevel("info"), LogLevel::kInfo);
  EXPECT_EQ(*ParseLogLevel("warning"), LogLevel::kWarning);
  EXPECT_EQ(*ParseLogLevel("error"), LogLevel::kError);
  EXPECT_THAT(ParseLogLevel("trace"),
              StatusIs(absl::StatusCode::kInvalidArgument, _));
}

}  // namespace
}  // namespace quantd::test
