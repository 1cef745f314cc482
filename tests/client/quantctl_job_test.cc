// quantctl: quantize and jobs.
#include <algorithm>
#include <string>

#include "base/sha256.h"
#include "tests/client/quantctl_fixture.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class QuantctlJobTest : public QuantctlTest {
 protected:
  void Script(v1::JobState end, const std::string& error = "") {
    JobScript script;
    script.end = end;
    script.error = error;
    fake_.SetScript(script);
  }

  v1::JobSpec Submitted() { return fake_.created_jobs().back().spec(); }
};

TEST_F(QuantctlJobTest, QuantizeSendsEveryOption) {
  const std::string text = WriteFile("calibration.txt", "text");
  const Output output =
      Run("quantize m --method gptq --set bits=3 --set group_size=64 "
          "--calibration " +
          text +
          " --windows 16 --window-tokens 512 --seed 7 --name out --priority "
          "-5 --owner team --after 12 --after jobs/13 --threads 2 "
          "--max-attempts 4 --request-id once");
  ASSERT_EQ(output.code, 0) << output.err;
  EXPECT_EQ(output.out, "jobs/1\n");
  const v1::CreateJobRequest request = fake_.created_jobs().back();
  EXPECT_EQ(request.request_id(), "once");
  EXPECT_FALSE(request.validate_only());
  const v1::JobSpec& spec = request.spec();
  EXPECT_EQ(spec.quantize().model(), "m");
  EXPECT_EQ(spec.quantize().method(), "gptq");
  EXPECT_THAT(spec.quantize().set(), ElementsAre("bits=3", "group_size=64"));
  EXPECT_EQ(spec.quantize().output_id(), "out");
  const v1::Calibration& calibration = spec.quantize().calibration();
  EXPECT_EQ(calibration.dataset(),
            "datasets/" + Sha256Hex("text").substr(0, 16));
  EXPECT_EQ(calibration.windows(), 16u);
  EXPECT_EQ(calibration.window_tokens(), 512u);
  EXPECT_EQ(calibration.seed(), 7u);
  EXPECT_EQ(spec.priority(), -5);
  EXPECT_EQ(spec.owner(), "team");
  EXPECT_THAT(spec.after(), ElementsAre("jobs/12", "jobs/13"));
  EXPECT_EQ(spec.threads(), 2u);
  EXPECT_EQ(spec.max_attempts(), 4u);
}

TEST_F(QuantctlJobTest, OptionsNotGivenAreLeftToTheServer) {
  ASSERT_EQ(Run("quantize m --method rtn").code, 0);
  const v1::JobSpec spec = Submitted();
  EXPECT_FALSE(spec.has_threads());
  EXPECT_FALSE(spec.has_max_attempts());
  EXPECT_FALSE(spec.quantize().has_calibration());
}

TEST_F(QuantctlJobTest, NamesMayBeWordsOfTheCommandTable) {
  ASSERT_EQ(Run("quantize models --method rtn --name jobs").code, 0);
  EXPECT_EQ(Submitted().quantize().model(), "models");
  EXPECT_EQ(Submitted().quantize().output_id(), "jobs");
}

TEST_F(QuantctlJobTest, CalibrationMayNameADataset) {
  ASSERT_EQ(Run("quantize m --method gptq --calibration wiki").code, 0);
  EXPECT_EQ(Submitted().quantize().calibration().dataset(), "datasets/wiki");
  EXPECT_EQ(fake_.calls("UploadDataset"), 0);
  const Output missing =
      Run("quantize m --method gptq --calibration not/here.txt");
  EXPECT_EQ(missing.code, 3);
  EXPECT_THAT(missing.err,
              HasSubstr("--calibration: not/here.txt: no such file"));
}

TEST_F(QuantctlJobTest, RecipeFileIsSentWhole) {
  const std::string file = WriteFile(
      "mine.textproto", "name: 'mine' stages { rtn { grid { affine { bits: 3 } } } }");
  ASSERT_EQ(Run("quantize m --recipe " + file).code, 0);
  EXPECT_EQ(Submitted().quantize().recipe().stages(0).rtn().grid().affine().bits(), 3u);
  WriteFile("mine.textproto", "name: 'mine'\nstages { nonsense {} }");
  const Output wrong = Run("quantize m --recipe " + file);
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("mine.textproto: line 2, column "));
  EXPECT_EQ(Run("quantize m --recipe " + dir_.File("none")).code, 3);
}

TEST_F(QuantctlJobTest, DryRunCreatesNothingAndShowsTheDefaults) {
  const Output output = Run("quantize m --method rtn --dry-run");
  EXPECT_EQ(output.code, 0);
  EXPECT_THAT(output.out, HasSubstr("max_attempts: 3"));
  EXPECT_THAT(output.out, HasSubstr("forecast memory"));
  EXPECT_THAT(output.out, HasSubstr("3.0 MiB of 8.0 MiB"));
  EXPECT_THAT(output.out, HasSubstr("one block in float32"));
  EXPECT_THAT(output.out, HasSubstr("1.0 MiB, 512.0 KiB of it activations"));
  EXPECT_THAT(output.out, HasSubstr("42 s"));
  EXPECT_EQ(Run("quantize m --method rtn --dry-run --json")
                .Json()["forecast"]["peak_memory_bytes"],
            3 << 20);
  EXPECT_TRUE(fake_.created_jobs().back().validate_only());
  EXPECT_EQ(Run("jobs list --json").out, "");
}

TEST_F(QuantctlJobTest, MemoryAndOrderAreSent) {
  ASSERT_EQ(Run("quantize m --method rtn --memory 1.5G").code, 0);
  EXPECT_EQ(fake_.created_jobs().back().spec().memory_bytes(), 1536u << 20);
  const Output wrong = Run("quantize m --method rtn --memory lots");
  EXPECT_EQ(wrong.code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("1536M"));
  const std::string evaluate = "evaluate m --metric ppl/gptq-8 --text t";
  ASSERT_EQ(Run(evaluate).code, 0);
  EXPECT_EQ(Submitted().evaluate().scoring_order(), v1::SCORING_ORDER_AUTO);
  ASSERT_EQ(Run(evaluate + " --order layer-major").code, 0);
  EXPECT_EQ(Submitted().evaluate().scoring_order(), v1::LAYER_MAJOR);
  EXPECT_EQ(Run(evaluate + " --order sideways").code, 2);
}

TEST_F(QuantctlJobTest, WaitShowsProgressAndTheResult) {
  const Output output = Run("quantize m --method rtn --name out --wait");
  ASSERT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(output.out, StartsWith("ARTIFACT  METHOD"));
  EXPECT_THAT(output.out, HasSubstr("out       rtn"));
  EXPECT_THAT(output.err, HasSubstr("jobs/1: RUNNING\n"));
  EXPECT_THAT(output.err, HasSubstr("50 % quantize blocks.5"));
  EXPECT_THAT(output.err, HasSubstr("jobs/1: SUCCEEDED\n"));
}

TEST_F(QuantctlJobTest, WaitWithJsonPrintsOneObject) {
  const Output output = Run("quantize m --method rtn --name out --wait --json");
  ASSERT_EQ(output.code, 0);
  EXPECT_EQ(std::count(output.out.begin(), output.out.end(), '\n'), 1);
  const auto json = output.Json();
  EXPECT_EQ(json["job"], "jobs/1");
  EXPECT_EQ(json["state"], "SUCCEEDED");
  EXPECT_EQ(json["artifact"], "artifacts/out");
  EXPECT_EQ(json["bits_per_weight"], 3.5);
  EXPECT_EQ(json["size_bytes"], 700000);
  EXPECT_EQ(json["wall_seconds"], 12.5);
  EXPECT_EQ(json["metrics"]["bits_per_weight"], 3.5);
  // Progress goes to standard error, as JSON lines too.
  EXPECT_THAT(output.err, StartsWith("{\"job\":\"jobs/1\""));
  EXPECT_EQ(Run("quantize m --method rtn --wait --json --quiet --name o2").err,
            "");
}

TEST_F(QuantctlJobTest, TerminalGetsABar) {
  environment_.err_is_terminal = true;
  const Output output = Run("quantize m --method rtn --name out --wait");
  EXPECT_THAT(output.err, HasSubstr("\r[############------------]  50 %"));
  EXPECT_THAT(output.err, ::testing::EndsWith("\r\033[K"));
}

TEST_F(QuantctlJobTest, FailedJobIsOneAndSaysWhy) {
  Script(v1::FAILED, "layer 3: not finite");
  const Output output = Run("quantize m --method rtn --name out --wait");
  EXPECT_EQ(output.code, 1);
  EXPECT_EQ(output.out, "");
  EXPECT_THAT(output.err,
              HasSubstr("quantctl: jobs/1 failed: layer 3: not finite"));
  EXPECT_THAT(output.err, HasSubstr("quantctl jobs logs 1"));
  const Output json = Run("quantize m --method rtn --name out --wait --json");
  EXPECT_EQ(json.code, 1);
  EXPECT_EQ(json.Json()["state"], "FAILED");
  EXPECT_EQ(json.Json()["error"]["message"], "layer 3: not finite");
}

TEST_F(QuantctlJobTest, CancelledJobIsFive) {
  Script(v1::CANCELLED);
  const Output output = Run("quantize m --method rtn --name out --wait");
  EXPECT_EQ(output.code, 5);
  EXPECT_THAT(output.err, HasSubstr("jobs/1 was cancelled"));
}

TEST_F(QuantctlJobTest, InterruptStopsTheWaitingNotTheJob) {
  JobScript script;
  script.endless = true;
  fake_.SetScript(script);
  fake_.OnWatching([this] { EXPECT_TRUE(interrupts_.Raise()); });
  const Output output = Run("quantize m --method rtn --name out --wait");
  EXPECT_EQ(output.code, 130);
  EXPECT_THAT(output.err, HasSubstr("jobs/1 goes on"));
  EXPECT_THAT(output.err, HasSubstr("quantctl jobs watch 1"));
  EXPECT_THAT(output.err, HasSubstr("quantctl jobs cancel 1"));
  EXPECT_EQ(fake_.calls("CancelJob"), 0);
  EXPECT_EQ(Run("jobs show 1 --json").Json()["state"], "RUNNING");
}

TEST_F(QuantctlJobTest, LostConnectionIsSaidOnceAndResumed) {
  JobScript script;
  script.progress_updates = 0;
  script.break_after = 1;
  fake_.SetScript(script);
  const Output output = Run("quantize m --method rtn --name out --wait");
  EXPECT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(output.err, HasSubstr("connection lost, trying again"));
}

TEST_F(QuantctlJobTest, ServerRefusalListsTheFields) {
  const Output output =
      Run("quantize m --method rtn --name a/b --priority 9999");
  EXPECT_EQ(output.code, 2);
  EXPECT_THAT(output.err,
              HasSubstr("  spec.quantize.output_id: \"a/b\" is no"));
  EXPECT_THAT(output.err, HasSubstr("  spec.priority: 9999 is out of range"));
}

TEST_F(QuantctlJobTest, ListShowsNewestFirstAndFiltersByState) {
  Run("quantize m --method rtn --name a");
  Script(v1::FAILED, "x");
  Run("quantize m --method rtn --name b");
  const auto all = Run("jobs list --json").JsonLines();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0]["name"], "jobs/2");
  EXPECT_EQ(all[0]["spec"]["quantize"]["output_id"], "b");
  const auto failed = Run("jobs list --json --state failed").JsonLines();
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0]["name"], "jobs/2");
  EXPECT_EQ(Run("jobs list --json --limit 1").JsonLines().size(), 1u);
  EXPECT_THAT(Run("jobs list").out, HasSubstr("m -> b (rtn)"));
}

TEST_F(QuantctlJobTest, ShowTellsTheOutcome) {
  Run("quantize m --method rtn --name a");
  const Output output = Run("jobs show 1");
  EXPECT_THAT(output.out, HasSubstr("artifacts/a"));
  EXPECT_THAT(output.out, HasSubstr("bits_per_weight"));
  EXPECT_EQ(Run("jobs show 99").code, 3);
}

TEST_F(QuantctlJobTest, WatchPrintsEventsAndExitsLikeTheJob) {
  Script(v1::FAILED, "broken");
  Run("quantize m --method rtn --name a");
  const Output output = Run("jobs watch 1");
  EXPECT_EQ(output.code, 1);
  EXPECT_THAT(output.out, StartsWith("jobs/1: QUEUED\njobs/1: RUNNING\n"));
  EXPECT_THAT(output.err, HasSubstr("broken"));
  const auto lines = Run("jobs watch 1 --json").JsonLines();
  ASSERT_EQ(lines.size(), 13u);
  EXPECT_EQ(lines[0]["event"]["sequence"], 101);
  EXPECT_EQ(lines[12]["event"]["state"]["to"], "FAILED");
  EXPECT_EQ(Run("jobs watch 1 --json --after-sequence 102").JsonLines().size(),
            11u);
}

TEST_F(QuantctlJobTest, CancelSaysWhatBecameOfIt) {
  Run("quantize m --method rtn --name a");
  EXPECT_THAT(Run("jobs cancel 1").err, HasSubstr("had already ended"));
  JobScript script;
  script.endless = true;
  fake_.SetScript(script);
  Run("quantize m --method rtn --name b");
  EXPECT_EQ(Run("jobs cancel 2").code, 0);
  EXPECT_EQ(Run("jobs show 2 --json").Json()["state"], "CANCELLED");
  EXPECT_EQ(Run("jobs cancel 99").code, 3);
}

TEST_F(QuantctlJobTest, LogsFollowToTheEnd) {
  Run("quantize m --method rtn --name a");
  const Output output = Run("jobs logs 1 --follow");
  EXPECT_EQ(output.code, 0);
  EXPECT_EQ(output.out, "first line\nsecond line\n");
}

TEST_F(QuantctlJobTest, LogsWithoutFollowStopAtWhatIsThere) {
  Run("quantize m --method rtn --name a");
  EXPECT_EQ(Run("jobs logs 1").out, "first li");
}

}  // namespace
}  // namespace quantd::test
