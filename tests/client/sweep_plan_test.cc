#include "client/sweep_plan.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

std::vector<std::string> Labels(const SweepGrid& grid) {
  const auto points = ExpandSweep(grid);
  EXPECT_TRUE(points.ok()) << points.status();
  std::vector<std::string> labels;
  if (!points.ok()) return labels;
  for (const SweepPoint& point : *points) labels.push_back(point.Label());
  return labels;
}

std::string Refusal(const SweepGrid& grid) {
  const auto points = ExpandSweep(grid);
  EXPECT_TRUE(absl::IsInvalidArgument(points.status())) << points.status();
  return std::string(points.status().message());
}

TEST(SweepPlanTest, TheGridIsMethodsTimesBitsTimesAlternatives) {
  SweepGrid grid;
  grid.methods = {"rtn", "gptq"};
  grid.bits = {"2", "3"};
  grid.set = {"group_size=64", "symmetric=true", "group_size=128"};
  EXPECT_THAT(Labels(grid),
              ElementsAre("rtn bits=2 group_size=64 symmetric=true",
                          "rtn bits=2 group_size=128 symmetric=true",
                          "rtn bits=3 group_size=64 symmetric=true",
                          "rtn bits=3 group_size=128 symmetric=true",
                          "gptq bits=2 group_size=64 symmetric=true",
                          "gptq bits=2 group_size=128 symmetric=true",
                          "gptq bits=3 group_size=64 symmetric=true",
                          "gptq bits=3 group_size=128 symmetric=true"));
}

TEST(SweepPlanTest, PointsStandBesideTheGridAndEqualOnesAreOne) {
  SweepGrid grid;
  grid.methods = {"rtn", "rtn"};
  grid.points = {"  gptq bits=3  group_size=64 ", "rtn", "gptq"};
  EXPECT_THAT(Labels(grid),
              ElementsAre("rtn", "gptq bits=3 group_size=64", "gptq"));
}

TEST(SweepPlanTest, WhatIsNoSweepIsRefused) {
  SweepGrid grid;
  EXPECT_THAT(Refusal(grid), HasSubstr("needs points"));
  grid.bits = {"3"};
  grid.points = {"rtn"};
  EXPECT_THAT(Refusal(grid), HasSubstr("need a --method"));
  grid.methods = {"rtn"};
  grid.bits = {"3", "many"};
  EXPECT_THAT(Refusal(grid), HasSubstr("--bits: \"many\""));
  grid.bits = {"3"};
  grid.set = {"bits=4"};
  EXPECT_THAT(Refusal(grid), HasSubstr("already given by --bits"));
  grid.set = {"=4"};
  EXPECT_THAT(Refusal(grid), HasSubstr("--set: \"=4\" is not key=value"));
  grid.set.clear();
  for (const char* wrong : {"", "bits=3", "rtn 3"}) {
    grid.points = {wrong};
    EXPECT_THAT(Refusal(grid), HasSubstr("--point: "));
  }
}

TEST(SweepPlanTest, HugeGridsAreRefusedBeforeTheyAreMade) {
  SweepGrid grid;
  grid.methods = {"rtn"};
  for (int key = 0; key < 20; ++key) {
    for (int value = 0; value < 100; ++value) {
      grid.set.push_back("k" + std::to_string(key) + "=" +
                         std::to_string(value));
    }
  }
  EXPECT_THAT(Refusal(grid), HasSubstr("more than 1000 points"));
}

TEST(SweepPlanTest, SettingsAreHeldAgainstTheMethod) {
  v1::Recipe gptq;
  gptq.set_name("gptq");
  gptq.add_stages()->mutable_gptq();
  EXPECT_TRUE(CheckPoint(gptq, {"gptq", {"bits=3", "damping=0.1"}}).ok());
  const auto unknown = CheckPoint(gptq, {"gptq", {"dampness=1"}});
  EXPECT_TRUE(absl::IsInvalidArgument(unknown));
  EXPECT_THAT(unknown.message(), HasSubstr("point \"gptq dampness=1\""));
  EXPECT_FALSE(CheckPoint(gptq, {"gptq", {"bits=many"}}).ok());
  v1::Recipe without;
  without.set_name("pruned");
  without.add_stages()->mutable_token_importance();
  const auto no_bits = CheckPoint(without, {"pruned", {"bits=3"}});
  EXPECT_TRUE(absl::IsInvalidArgument(no_bits));
  EXPECT_THAT(no_bits.message(),
              HasSubstr("method pruned does not take bits=3"));
}

TEST(SweepPlanTest, ArtifactIdsAreValidReadableAndDistinct) {
  EXPECT_EQ(PointArtifactId("s", {"gptq", {"bits=3", "group_size=64"}}),
            "s-gptq-bits3-group_size64");
  EXPECT_EQ(PointArtifactId("s", {"rtn", {}}), "s-rtn");
  const std::string odd = PointArtifactId("s", {"rtn", {"keep=.*\\.down"}});
  EXPECT_THAT(odd, MatchesRegex("s-rtn-keep[._a-z]*-[0-9a-f]{8}"));
  std::set<std::string> ids;
  for (const char* value : {"a/b", "a|b", "a:b", "a_b"}) {
    ids.insert(PointArtifactId("s", {"rtn", {std::string("k=") + value}}));
  }
  for (const std::string tail : {"x", "y"}) {
    ids.insert(PointArtifactId("s", {"rtn", {std::string(200, 'k') + tail}}));
  }
  EXPECT_EQ(ids.size(), 6u);
  for (const std::string& id : ids) {
    EXPECT_LE(id.size(), 128u);
    EXPECT_TRUE(absl::ascii_isalnum(id.back())) << id;
  }
}

v1::JobSpec Quantize() {
  v1::JobSpec spec;
  spec.mutable_quantize()->set_model("models/m");
  spec.mutable_quantize()->set_method("rtn");
  return spec;
}

TEST(SweepPlanTest, RequestIdsDependOnSweepPointKindTargetAndRound) {
  std::set<std::string> ids;
  const auto add = [&](const char* sweep, const char* label, int round,
                       v1::JobSpec spec) {
    const std::string id = MarkAsPartOf(sweep, label, round, &spec);
    EXPECT_LE(id.size(), 128u);
    EXPECT_TRUE(ids.insert(id).second);
  };
  add("s", "rtn", 0, Quantize());
  add("t", "rtn", 0, Quantize());
  add("s", "gptq", 0, Quantize());
  add("sr", "tn", 0, Quantize());
  add("s", "rtn", 1, Quantize());
  v1::JobSpec evaluate;
  evaluate.mutable_evaluate()->set_target("jobs/1");
  add("s", "rtn", 0, evaluate);
  evaluate.mutable_evaluate()->set_target("jobs/2");
  add("s", "rtn", 0, evaluate);
  // Again the same one, whatever else is in the spec.
  v1::JobSpec spec = Quantize();
  spec.set_threads(7);
  EXPECT_EQ(ids.count(MarkAsPartOf("s", "rtn", 0, &spec)), 1u);
}

TEST(SweepPlanTest, MarksSayWhatAJobBelongsToAndWhatItDoes) {
  v1::JobSpec a = Quantize(), b = Quantize(), other = Quantize();
  other.mutable_quantize()->set_method("gptq");
  MarkAsPartOf("s", "rtn", 0, &a);
  MarkAsPartOf("s", "rtn", 3, &b);
  MarkAsPartOf("s", "gptq", 0, &other);
  EXPECT_TRUE(IsSameTask(a, b));
  EXPECT_FALSE(IsSameTask(a, other));
  EXPECT_EQ(RoundOf(b), 3);
  EXPECT_EQ(RoundOf(Quantize()), 0);
  EXPECT_EQ(a.labels().at(kSpecLabel), b.labels().at(kSpecLabel));
  EXPECT_NE(a.labels().at(kSpecLabel), other.labels().at(kSpecLabel));
  EXPECT_EQ(SpecDigest(a), SpecDigest(Quantize()));
}

}  // namespace
}  // namespace quantd::test
