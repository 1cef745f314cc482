#include "server/serving_status.h"

#include <map>

#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class FakeHealth final : public grpc::HealthCheckServiceInterface {
 public:
  void SetServingStatus(const std::string& service, bool serving) override {
    states_[service] = serving;
  }
  void SetServingStatus(bool serving) override {
    for (auto& [service, state] : states_) state = serving;
  }
  void Shutdown() override {}
  const std::map<std::string, bool>& states() const { return states_; }

 private:
  std::map<std::string, bool> states_;
};

TEST(ServingStatusTest, EveryServiceIsToldWhenItIsReady) {
  FakeHealth health;
  ServingStatus status({"quantd.v1.JobService"});
  status.Attach(&health);
  EXPECT_THAT(
      health.states(),
      ElementsAre(Pair("", false), Pair("quantd.v1.JobService", false)));
  EXPECT_THAT(status.status(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("starting")));
  status.SetReady();
  EXPECT_THAT(health.states(),
              ElementsAre(Pair("", true), Pair("quantd.v1.JobService", true)));
  EXPECT_THAT(status.status(), IsOk());
}

TEST(ServingStatusTest, WhatIsWrongStaysWrongAndTheFirstReasonCounts) {
  FakeHealth health;
  ServingStatus status({});
  status.SetNotServing(absl::UnavailableError("disk"));
  status.Attach(&health);
  status.SetReady();
  status.SetNotServing(absl::UnavailableError("draining"));
  EXPECT_THAT(health.states(), ElementsAre(Pair("", false)));
  EXPECT_THAT(status.status(),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("disk")));
}

TEST(ServingStatusTest, NobodyIsToldAfterDetaching) {
  FakeHealth health;
  ServingStatus status({});
  status.SetReady();
  EXPECT_THAT(health.states(), IsEmpty());
  status.Attach(&health);
  status.Detach();
  status.SetNotServing(absl::UnavailableError("over"));
  EXPECT_THAT(health.states(), ElementsAre(Pair("", true)));
}

}  // namespace
}  // namespace quantd::test
