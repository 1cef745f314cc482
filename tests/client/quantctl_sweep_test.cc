// quantctl sweep
#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "tests/client/quantctl_fixture.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class QuantctlSweepTest : public QuantctlTest {
 protected:
  QuantctlSweepTest() {
    text_ = WriteFile("text.txt", "text");
    WriteFile("arc_easy.jsonl", "{}\n");
    WriteFile("piqa.jsonl", "{ }\n");
    EXPECT_EQ(Run("models add m /tmp").code, 0);
  }

  // gptq and rtn at 2 and 3 bits, with KL and two tasks.
  std::string Grid(const std::string& more = "") {
    return "sweep m --name s --method gptq --method rtn --bits 2,3 "
           "--calibration " +
           text_ + " --text " + text_ +
           " --metric divergence/gptq-512 --metric ppl/gptq-512 "
           "--task arc_easy --task piqa --data " +
           dir_.path() + " " + more;
  }

  void FailTwoBits() {
    JobScript script;
    script.end = v1::FAILED;
    script.error = "block 3: not finite";
    script.only_set = "bits=2";
    fake_.SetScript(script);
  }

  // Standings of one front by label.
  static std::map<std::string, std::string> Standings(
      const nlohmann::json& json, const std::string& cost,
      const std::string& task) {
    std::map<std::string, std::string> standings;
    for (const auto& front : json["fronts"]) {
      if (front["cost"] != cost || front["task"] != task) continue;
      for (const auto& point : front["points"]) {
        standings[point["point"]] = point["standing"];
      }
    }
    return standings;
  }

  std::string text_;
};

TEST_F(QuantctlSweepTest, SubmitsTheModelAndTwoChainedJobsAPoint) {
  ASSERT_EQ(Run(Grid("--threads 2 --priority 5")).code, 0);
  const auto jobs = fake_.created_jobs();
  ASSERT_THAT(jobs, SizeIs(9));
  const v1::EvaluateSpec& original = jobs[0].spec().evaluate();
  EXPECT_EQ(original.target(), "models/m");
  EXPECT_THAT(original.metrics(), ElementsAre("ppl/gptq-512"));
  EXPECT_EQ(original.tasks_size(), 2);
  std::set<std::string> ids;
  for (const auto& job : jobs) {
    ids.insert(job.request_id());
    EXPECT_EQ(job.spec().threads(), 2u);
    EXPECT_EQ(job.spec().priority(), 5);
    EXPECT_EQ(job.spec().labels().at("sweep"), "s");
  }
  EXPECT_EQ(ids.size(), 9u);
  const v1::QuantizeSpec& quantize = jobs[1].spec().quantize();
  EXPECT_EQ(quantize.model(), "models/m");
  EXPECT_EQ(quantize.method(), "gptq");
  EXPECT_THAT(quantize.set(), ElementsAre("bits=2"));
  EXPECT_EQ(quantize.output_id(), "s-gptq-bits2");
  EXPECT_THAT(quantize.calibration().dataset(), HasSubstr("datasets/"));
  EXPECT_EQ(jobs[1].spec().labels().at("sweep_point"), "gptq bits=2");
  const v1::EvaluateSpec& evaluate = jobs[2].spec().evaluate();
  EXPECT_EQ(evaluate.target(), "jobs/2");
  // The perplexity comes along with the divergence.
  EXPECT_THAT(evaluate.metrics(), ElementsAre("divergence/gptq-512"));
  EXPECT_EQ(evaluate.tasks_size(), 2);
}

TEST_F(QuantctlSweepTest, TheModelIsNotComparedWithItself) {
  ASSERT_EQ(Run("sweep m --method rtn --name s --metric attribution/gptq-64 "
                "--metric divergence/gptq-64 --metric ppl/gptq-512 --attribute "
                "layers --target-bits 3 --no-wait --text " +
                text_)
                .code,
            0);
  const auto jobs = fake_.created_jobs();
  EXPECT_THAT(jobs[0].spec().evaluate().metrics(),
              ElementsAre("ppl/gptq-64", "ppl/gptq-512"));
  EXPECT_THAT(
      jobs[2].spec().evaluate().metrics(),
      ElementsAre("attribution/gptq-64", "divergence/gptq-64", "ppl/gptq-512"));
  EXPECT_EQ(jobs[2].spec().evaluate().attribution_granularity(),
            v1::ATTRIBUTE_LAYERS);
  EXPECT_EQ(jobs[2].spec().evaluate().attribution_target_bits(), 3);
  EXPECT_FALSE(jobs[0].spec().evaluate().has_attribution_target_bits());
}

TEST_F(QuantctlSweepTest, RunAgainItCreatesNothingAndShowsTheSame) {
  const Output first = Run(Grid("--json --quiet"));
  const Output again = Run(Grid("--json --quiet"));
  EXPECT_EQ(first.code, 0);
  EXPECT_EQ(fake_.calls("CreateJob"), 9);
  EXPECT_EQ(first.out, again.out);
  // With another point only that is new.
  EXPECT_EQ(Run(Grid("--point rtn")).code, 0);
  EXPECT_EQ(fake_.calls("CreateJob"), 11);
}

TEST_F(QuantctlSweepTest, WhatWasOnlySubmittedIsWaitedForLater) {
  ASSERT_EQ(Run(Grid("--no-wait")).code, 0);
  const int created = fake_.calls("CreateJob");
  EXPECT_EQ(created, 9);
  EXPECT_EQ(fake_.calls("WatchJob"), 0);
  EXPECT_EQ(Run(Grid()).code, 0);
  EXPECT_EQ(fake_.calls("CreateJob"), created);
}

TEST_F(QuantctlSweepTest, OtherOptionsUnderTheSameNameAreRefused) {
  ASSERT_EQ(Run(Grid()).code, 0);
  const Output output = Run(Grid("--max-windows 5"));
  EXPECT_EQ(output.code, 6);
  EXPECT_THAT(output.err, HasSubstr("sweep \"s\" ran this point as jobs/1 "
                                    "with other options"));
}

TEST_F(QuantctlSweepTest, TheDefaultNameFollowsFromWhatIsAskedFor) {
  const std::string sweep =
      "sweep m --method rtn --metric ppl/gptq-512 "
      "--text " +
      text_ + " --json --quiet";
  const std::string name = Run(sweep).Json()["name"];
  EXPECT_THAT(name, ::testing::StartsWith("m-sweep-"));
  EXPECT_EQ(Run(sweep).Json()["name"], name);
  EXPECT_EQ(fake_.calls("CreateJob"), 3);
  EXPECT_NE(Run(sweep + " --set bits=4").Json()["name"], name);
}

TEST_F(QuantctlSweepTest, JsonHasARowAPointAndRanksThem) {
  const Output output = Run(Grid("--json --margin 0.02 --alpha 0.1"));
  ASSERT_EQ(output.code, 0) << output.err;
  EXPECT_EQ(std::count(output.out.begin(), output.out.end(), '\n'), 1);
  const auto json = output.Json();
  EXPECT_EQ(json["format"], "quantd-sweep.v1");
  EXPECT_EQ(json["margin"], 0.02);
  EXPECT_EQ(json["perplexity_margin"], 0.01);
  EXPECT_EQ(json["alpha"], 0.1);
  ASSERT_EQ(json["rows"].size(), 5u);
  const auto& original = json["rows"][0];
  EXPECT_EQ(original["point"], "original");
  EXPECT_EQ(original["bits_per_weight"], 16);
  EXPECT_EQ(original["perplexities"]["ppl/gptq-512"]["perplexity"], 120.3396);
  EXPECT_EQ(original["tasks"]["piqa"]["value"], 0.75);
  const auto& row = json["rows"][2];
  EXPECT_EQ(row["point"], "gptq bits=3");
  EXPECT_EQ(row["artifact"], "artifacts/s-gptq-bits3");
  EXPECT_EQ(row["bits_per_weight"], 3.5);
  EXPECT_EQ(row["size_bytes"], 700000);
  EXPECT_EQ(row["quantize_seconds"], 12.5);
  EXPECT_EQ(row["quantize_peak_memory_bytes"], 64 << 20);
  EXPECT_EQ(row["evaluate_peak_memory_bytes"], 1 << 20);
  // That of scoring, which kept scores raise: not the point's.
  EXPECT_FALSE(row.contains("tokens_per_second"));
  EXPECT_FALSE(row.contains("efficiencies"));
  EXPECT_EQ(row["divergences"]["divergence/gptq-512"]["mean_kl"], 0.03125);
  EXPECT_NEAR(row["perplexities"]["ppl/gptq-512"]["ln_ratio"].get<double>(),
              std::log(125.5 / 120.3396), 1e-9);
  EXPECT_EQ(row["tasks"]["arc_easy"]["comparison"]["loss"], 0.03125);
  EXPECT_EQ(row["report"]["target"], "artifacts/s-gptq-bits3");
  // KLs of 0.125, 0.25 at 2 bits and 0.03125, 0.0625 at 3.
  const std::map<std::string, std::string> expected = {
      {"gptq bits=2", "front"},
      {"gptq bits=3", "front"},
      {"rtn bits=2", "dominated"},
      {"rtn bits=3", "dominated"}};
  EXPECT_EQ(Standings(json, "bits_per_weight", "divergence/gptq-512"),
            expected);
  EXPECT_EQ(Standings(json, "size_bytes", "divergence/gptq-512"), expected);
  EXPECT_EQ(Standings(json, "bits_per_weight", "ppl/gptq-512"), expected);
  EXPECT_EQ(Standings(json, "bits_per_weight", "piqa"), expected);
  EXPECT_TRUE(Standings(json, "size_bytes", "piqa").empty());
}

TEST_F(QuantctlSweepTest, MeasuredSpeedsAndMemoryAreCosts) {
  const Output output = Run(Grid("--json --metric efficiency/pp8-tg4"));
  ASSERT_EQ(output.code, 0) << output.err;
  const auto json = output.Json();
  EXPECT_EQ(json["cost_margin"], 0.05);
  // The original is measured too.
  EXPECT_EQ(json["rows"][0]["efficiencies"]["efficiency/pp8-tg4"]
                ["generated_tokens_per_second"],
            56.25);
  const auto& measured = json["rows"][1]["efficiencies"]["efficiency/pp8-tg4"];
  EXPECT_EQ(measured["repetitions"], 5);
  EXPECT_EQ(measured["prompt_tokens_per_second"], 1234);
  EXPECT_NEAR(measured["prompt_tokens_per_second_error"].get<double>(),
              5.5 / std::sqrt(5), 1e-12);
  EXPECT_EQ(measured["generated_tokens_per_second"], 64.25);
  EXPECT_NEAR(measured["generated_tokens_per_second_error"].get<double>(),
              1.25 / std::sqrt(5), 1e-12);
  EXPECT_EQ(measured["loaded_bytes"], 2 << 20);
  EXPECT_EQ(measured["peak_resident_bytes"], 3 << 20);
  EXPECT_FALSE(measured.contains("loaded_bytes_error"));
  // Points are measured in turns with the original.
  for (const auto& job : fake_.created_jobs()) {
    if (!job.spec().has_evaluate()) continue;
    const bool is_point = job.spec().evaluate().target() != "models/m";
    EXPECT_EQ(job.spec().evaluate().baseline(), is_point ? "models/m" : "");
  }
  EXPECT_EQ(measured["generation_speed_ratio"], 1.75);
  EXPECT_EQ(measured["generation_speed_ratio_error"], 0.015625);
  EXPECT_EQ(measured["peak_is_with_original"], true);
  EXPECT_FALSE(json["rows"][0]["efficiencies"]["efficiency/pp8-tg4"].contains(
      "generation_speed_ratio"));
  // 1.75 times the original's speed at 2 bits, 1.5 at 3: the better method at
  // equal speed dominates the other, and no method at 3 bits is fast enough
  // for 2.
  EXPECT_EQ(Standings(json, "generation_speed_ratio", "divergence/gptq-512"),
            (std::map<std::string, std::string>{{"gptq bits=2", "front"},
                                                {"gptq bits=3", "front"},
                                                {"rtn bits=2", "dominated"},
                                                {"rtn bits=3", "dominated"}}));
  // Equal memory: the best is better than all others.
  const std::map<std::string, std::string> best = {{"gptq bits=2", "dominated"},
                                                   {"gptq bits=3", "front"},
                                                   {"rtn bits=2", "dominated"},
                                                   {"rtn bits=3", "dominated"}};
  EXPECT_EQ(Standings(json, "loaded_bytes", "divergence/gptq-512"), best);
  EXPECT_EQ(Standings(json, "prompt_speed_ratio", "divergence/gptq-512"), best);
  EXPECT_TRUE(Standings(json, "generation_speed_ratio", "piqa").empty());
  for (const auto& front : json["fronts"]) {
    if (front["cost"] != "generation_speed_ratio") continue;
    EXPECT_EQ(front["cost_metric"], "efficiency/pp8-tg4");
    EXPECT_EQ(front["points"][0]["cost"], 1.75);
    EXPECT_EQ(front["points"][0]["cost_error"], 0.015625);
    EXPECT_EQ(front["points"][2]["dominated_by"], "gptq bits=2");
  }
}

TEST_F(QuantctlSweepTest, CostsCanBeChosen) {
  const std::string folder = dir_.File("result");
  const Output output =
      Run(Grid("--metric efficiency/pp8-tg4 --cost generated_tokens_per_second "
               "--cost size_bytes --cost-margin 0.2 --output " +
               folder));
  ASSERT_EQ(output.code, 0) << output.err;
  const auto json = nlohmann::json::parse(*ReadFile(folder + "/sweep.json"));
  std::set<std::string> costs;
  for (const auto& front : json["fronts"]) costs.insert(front["cost"]);
  EXPECT_EQ(costs, (std::set<std::string>{"generated_tokens_per_second",
                                          "size_bytes"}));
  EXPECT_EQ(Standings(json, "size_bytes", "piqa").size(), 4u);
  // 56.25 is within 20 % of 64.25, and surely so: 3 bits are not too slow.
  EXPECT_EQ(Standings(json, "generated_tokens_per_second",
                      "divergence/gptq-512")["gptq bits=2"],
            "dominated");
  EXPECT_THAT(output.out, HasSubstr("efficiency/pp8-tg4"));
  EXPECT_THAT(output.out, HasSubstr("ONE AT A TIME, TOKENS/S"));
  EXPECT_THAT(output.out, HasSubstr("64.25 +/- 0.56"));
  EXPECT_THAT(output.out, HasSubstr("BY SPEED"));
  EXPECT_THAT(output.out, HasSubstr("2.0 MiB"));
  EXPECT_THAT(output.out, Not(HasSubstr("BY BITS")));
  const std::string markdown = *ReadFile(folder + "/sweep.md");
  EXPECT_THAT(markdown, HasSubstr("worse by less than 20 %"));
  for (const char* plot :
       {"generated_tokens_per_second-pp8-tg4-divergence_gptq-512-mean_kl.svg",
        "generated_tokens_per_second-pp8-tg4-piqa-acc.svg",
        "size_bytes-piqa-acc.svg"}) {
    EXPECT_THAT(markdown, HasSubstr(plot));
    const auto svg = ReadFile(folder + "/" + plot);
    ASSERT_TRUE(svg.ok()) << plot;
    EXPECT_THAT(*svg, HasSubstr("</svg>"));
  }
  EXPECT_THAT(
      *ReadFile(folder + "/generated_tokens_per_second-pp8-tg4-piqa-acc.svg"),
      HasSubstr("tokens per second, one at a time (pp8-tg4)"));
}

TEST_F(QuantctlSweepTest, WithoutKlSpeedsAreSetAgainstEveryLoss) {
  const auto json =
      Run("sweep m --name s --method gptq --method rtn --bits 2,3 "
          "--task piqa --metric efficiency/pp8-tg4 "
          "--metric efficiency/pp16-tg4 --json --data " +
          dir_.path())
          .Json();
  EXPECT_EQ(Standings(json, "generation_speed_ratio", "piqa").size(), 4u);
  // Of two measurements, one front each.
  std::set<std::string> metrics;
  for (const auto& front : json["fronts"]) {
    if (front.contains("cost_metric")) metrics.insert(front["cost_metric"]);
  }
  EXPECT_EQ(metrics, (std::set<std::string>{"efficiency/pp8-tg4",
                                            "efficiency/pp16-tg4"}));
}

TEST_F(QuantctlSweepTest, PairedDifferencesThatAreNotSignificantTie) {
  // Losses of 0.0078125 and 0.015625 at 4 bits: within the fake's 0.02.
  const auto json = Run("sweep m --name s --method gptq --method rtn --bits 4 "
                        "--task piqa --json --data " +
                        dir_.path())
                        .Json();
  EXPECT_EQ(Standings(json, "bits_per_weight", "piqa"),
            (std::map<std::string, std::string>{{"gptq bits=4", "front"},
                                                {"rtn bits=4", "tied"}}));
}

TEST_F(QuantctlSweepTest, PValuesAreAdjustedOverAllPointsAndTasks) {
  const auto json = Run(Grid("--json")).Json();
  EXPECT_EQ(json["family_size"], 8);
  // Six of 0.001 (losses above 0.05) and two of 0.04 (gptq at 3 bits).
  EXPECT_NEAR(json["rows"][1]["tasks"]["piqa"]["comparison"]["adjusted_p_value"]
                  .get<double>(),
              0.008, 1e-12);
  EXPECT_NEAR(json["rows"][2]["tasks"]["piqa"]["comparison"]["adjusted_p_value"]
                  .get<double>(),
              0.08, 1e-12);
}

TEST_F(QuantctlSweepTest, PeopleGetTables) {
  const Output output = Run(Grid());
  EXPECT_THAT(output.out, HasSubstr("POINT        BITS/WEIGHT"));
  EXPECT_THAT(output.out, HasSubstr("0.03125 +/- 0.0005"));
  EXPECT_THAT(output.out, HasSubstr("125.5000 +/- 2.5000"));
  EXPECT_THAT(output.out, HasSubstr("undecided, 1234 more needed"));
  EXPECT_THAT(output.out, HasSubstr("dominated"));
  EXPECT_THAT(output.out, Not(HasSubstr("FAILED POINT")));
  // Without an efficiency metric nothing is known of speed and memory.
  EXPECT_THAT(output.out, Not(HasSubstr("TOKENS/S")));
  EXPECT_THAT(output.out, Not(HasSubstr("EVALUATE MEMORY")));
  EXPECT_THAT(output.err, HasSubstr("[2/9] gptq bits=2: quantize"));
}

TEST_F(QuantctlSweepTest, OutputHoldsJsonMarkdownAndPlots) {
  const std::string folder = dir_.File("result");
  const Output output = Run(Grid("--json --output " + folder));
  ASSERT_EQ(output.code, 0) << output.err;
  EXPECT_EQ(nlohmann::json::parse(*ReadFile(folder + "/sweep.json")),
            output.Json());
  const std::string markdown = *ReadFile(folder + "/sweep.md");
  EXPECT_THAT(markdown,
              HasSubstr("    quantctl sweep m --method gptq --method rtn "
                        "--bits 2 --bits 3 --calibration " +
                        text_));
  EXPECT_THAT(markdown, HasSubstr(" --name s\n"));
  EXPECT_THAT(markdown, Not(HasSubstr("--output")));
  for (const char* plot : {"bits_per_weight-divergence_gptq-512-mean_kl.svg",
                           "size_bytes-divergence_gptq-512-mean_kl.svg",
                           "bits_per_weight-ppl_gptq-512-ln_perplexity.svg",
                           "bits_per_weight-piqa-acc.svg"}) {
    EXPECT_THAT(markdown, HasSubstr(plot));
    EXPECT_TRUE(ReadFile(folder + "/" + plot).ok()) << plot;
  }
}

TEST_F(QuantctlSweepTest, AFailingPointDoesNotStopTheOthers) {
  FailTwoBits();
  const Output output = Run(Grid("--json"));
  EXPECT_EQ(output.code, 1);
  EXPECT_THAT(output.err, HasSubstr("block 3: not finite"));
  const auto json = output.Json();
  ASSERT_EQ(json["rows"].size(), 5u);
  EXPECT_EQ(json["rows"][1]["complete"], false);
  EXPECT_THAT(json["rows"][1]["failure"].get<std::string>(),
              HasSubstr("quantize (jobs/2) failed: block 3: not finite"));
  EXPECT_FALSE(json["rows"][1].contains("tasks"));
  EXPECT_EQ(json["rows"][2]["complete"], true);
  EXPECT_EQ(Standings(json, "bits_per_weight", "piqa").size(), 2u);
  EXPECT_THAT(Run(Grid()).out, HasSubstr("FAILED POINT"));
}

TEST_F(QuantctlSweepTest, FailedJobsAreSubmittedAnewOnlyWhenAsked) {
  FailTwoBits();
  EXPECT_EQ(Run(Grid()).code, 1);
  fake_.SetScript(JobScript());
  EXPECT_EQ(Run(Grid()).code, 1);
  EXPECT_EQ(fake_.calls("CreateJob"), 9);
  const Output retried = Run(Grid("--retry-failed --json"));
  EXPECT_EQ(retried.code, 0) << retried.err;
  EXPECT_EQ(fake_.calls("CreateJob"), 13);  // two points, two jobs each
  EXPECT_EQ(retried.Json()["rows"][1]["artifact"], "artifacts/s-gptq-bits2");
  // From now on these are the sweep's.
  EXPECT_EQ(Run(Grid()).code, 0);
  EXPECT_EQ(Run(Grid("--retry-failed")).code, 0);
  EXPECT_EQ(fake_.calls("CreateJob"), 13);
}

TEST_F(QuantctlSweepTest, InterruptSaysWhatGoesOnAndCancelEndsIt) {
  JobScript script;
  script.endless = true;
  fake_.SetScript(script);
  fake_.OnWatching([this] { EXPECT_TRUE(interrupts_.Raise()); });
  const Output output = Run(Grid());
  EXPECT_EQ(output.code, 130);
  EXPECT_THAT(output.err, HasSubstr("sweep s goes on"));
  EXPECT_THAT(output.err, HasSubstr("quantctl sweep m --name s --cancel"));
  EXPECT_EQ(fake_.calls("CancelJob"), 0);
  Run("quantize m --method rtn --name other");
  const Output cancelled = Run("sweep m --name s --cancel");
  EXPECT_EQ(cancelled.code, 0) << cancelled.err;
  EXPECT_THAT(cancelled.err, HasSubstr("cancelled 9 jobs of sweep s"));
  EXPECT_EQ(fake_.calls("CancelJob"), 9);
  EXPECT_EQ(Run("jobs show 10 --json").Json()["state"], "RUNNING");
  EXPECT_THAT(Run("sweep m --name s --cancel").err,
              HasSubstr("had already ended"));
  EXPECT_EQ(Run("sweep m --name unknown --cancel").code, 3);
}

TEST_F(QuantctlSweepTest, MistakesInTheCommandSubmitNothing) {
  const std::string scored = " --metric ppl/gptq-512 --text " + text_;
  const Output unknown =
      Run("sweep m --method rtn --set damping=1 --name s" + scored);
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.err, HasSubstr("rtn damping=1"));
  EXPECT_EQ(Run("sweep m --method nothing --name s" + scored).code, 3);
  EXPECT_EQ(Run("sweep m --name s" + scored).code, 2);
  EXPECT_EQ(Run("sweep m --method rtn --name s").code, 2);
  EXPECT_EQ(Run("sweep m --method rtn --bits 2,x --name s" + scored).code, 2);
  EXPECT_EQ(Run("sweep m --method rtn --name a/b" + scored).code, 2);
  EXPECT_EQ(Run("sweep m --method rtn --cancel --dry-run" + scored).code, 2);
  const Output nothing_measures =
      Run("sweep m --method rtn --name s --cost loaded_bytes" + scored);
  EXPECT_EQ(nothing_measures.code, 2);
  EXPECT_THAT(nothing_measures.err, HasSubstr("add --metric efficiency/"));
  const Output no_cost =
      Run("sweep m --method rtn --name s --cost speed" + scored);
  EXPECT_EQ(no_cost.code, 2);
  EXPECT_THAT(no_cost.err, HasSubstr("prompt_tokens_per_second"));
  EXPECT_EQ(Run("sweep m --method rtn --name s --cost-margin 2" + scored).code,
            2);
  EXPECT_EQ(fake_.calls("CreateJob"), 0);
}

TEST_F(QuantctlSweepTest, DryRunForecastsEveryPoint) {
  const Output output = Run(Grid("--dry-run"));
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(output.out, HasSubstr("rtn bits=3"));
  EXPECT_THAT(output.out, HasSubstr("s-rtn-bits3"));
  EXPECT_THAT(output.out, HasSubstr("3.0 MiB"));
  EXPECT_THAT(Run(Grid("--dry-run --json")).JsonLines(), SizeIs(5));
  for (const auto& job : fake_.created_jobs()) {
    EXPECT_TRUE(job.validate_only());
  }
}

TEST_F(QuantctlSweepTest, NoWaitListsTheJobs) {
  const auto json = Run(Grid("--no-wait --json")).Json();
  EXPECT_EQ(json["name"], "s");
  ASSERT_EQ(json["points"].size(), 5u);
  EXPECT_EQ(json["points"][1]["quantize_job"], "jobs/2");
  EXPECT_EQ(json["points"][1]["evaluate_job"], "jobs/3");
}

TEST_F(QuantctlSweepTest, WordsWithBlanksMakeAPoint) {
  const Output output = RunWords({"sweep", "m", "--point", "gptq bits=2",
                                  "--point", "rtn", "--text", text_, "--metric",
                                  "ppl/gptq-512", "--name", "s", "--json"});
  ASSERT_EQ(output.code, 0) << output.err;
  EXPECT_EQ(output.Json()["rows"][1]["point"], "gptq bits=2");
  EXPECT_THAT(output.Json()["command"].get<std::string>(),
              HasSubstr("--point 'gptq bits=2'"));
}

}  // namespace
}  // namespace quantd::test
