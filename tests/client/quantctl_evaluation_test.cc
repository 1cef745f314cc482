// quantctl: evaluate, evaluations, compare, report.
#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "tests/client/quantctl_fixture.h"

namespace quantd::test {
namespace {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class QuantctlEvaluationTest : public QuantctlTest {
 protected:
  QuantctlEvaluationTest() {
    text_ = WriteFile("text.txt", "text");
    EXPECT_EQ(Run("models add m /tmp").code, 0);
    EXPECT_EQ(Run("quantize m --method gptq --name out").code, 0);
  }

  Output Evaluate(const std::string& target,
                  const std::string& metric = "ppl/gptq-512") {
    return Run("evaluate " + target + " --metric " + metric + " --text " +
               text_ + " --wait --json");
  }

  std::string text_;
};

TEST_F(QuantctlEvaluationTest, WaitWithJsonPrintsTheFlatObject) {
  const Output output = Evaluate("out");
  ASSERT_EQ(output.code, 0) << output.err;
  EXPECT_EQ(std::count(output.out.begin(), output.out.end(), '\n'), 1);
  const auto json = output.Json();
  std::set<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.insert(key);
  EXPECT_EQ(keys, (std::set<std::string>{
                      "perplexity", "perplexity_error_iid",
                      "perplexity_error_clustered", "windows", "scored_tokens",
                      "tokens", "tag", "target", "evaluation", "job",
                      "bits_per_weight", "size_bytes", "wall_seconds",
                      "peak_memory_bytes", "tokens_per_second"}));
  EXPECT_EQ(json["perplexity"], 125.5);
  EXPECT_EQ(json["windows"], 776);
  EXPECT_EQ(json["tokens"], 397372);
  EXPECT_EQ(json["target"], "artifacts/out");
  EXPECT_EQ(json["tag"]["convention"], "ppl/gptq-512");
  EXPECT_EQ(json["tag"]["window_tokens"], 512);
  EXPECT_EQ(json["tag"]["text_sha256"], std::string(64, 'a'));
  EXPECT_EQ(json["tag"]["token_count"], 397372);
  EXPECT_EQ(json["tag"]["bos_policy"], "none");
  EXPECT_EQ(json["tag"]["tokenizer_sha256"], std::string(64, 'b'));
}

TEST_F(QuantctlEvaluationTest, SeveralMetricsAreListed) {
  const Output output =
      Run("evaluate m --metric ppl/gptq-512 --metric ppl/llamacpp-512 --text " +
          text_ + " --wait --json --max-windows 5 --batch-windows 2");
  ASSERT_EQ(output.code, 0);
  ASSERT_EQ(output.Json()["metrics"].size(), 2u);
  EXPECT_EQ(output.Json()["metrics"][1]["metric"], "ppl/llamacpp-512");
  const v1::EvaluateSpec spec = fake_.created_jobs().back().spec().evaluate();
  EXPECT_THAT(spec.metrics(), ElementsAre("ppl/gptq-512", "ppl/llamacpp-512"));
  EXPECT_EQ(spec.max_windows(), 5u);
  EXPECT_EQ(spec.batch_windows(), 2u);
  EXPECT_EQ(spec.dataset(), "datasets/" + Sha256Hex("text").substr(0, 16));
}

TEST_F(QuantctlEvaluationTest, SuitesLeaveOutWhatHasNoData) {
  WriteFile("piqa.jsonl", "{}\n");
  WriteFile("gsm8k.jsonl", "{ }\n");
  const auto run = [&](const std::string& options) {
    return Run("evaluate m " + options + " --data " + dir_.path());
  };
  const auto tasks = [&] {
    const v1::EvaluateSpec spec = fake_.created_jobs().back().spec().evaluate();
    std::vector<std::string> names;
    for (const v1::TaskRun& task : spec.tasks()) names.push_back(task.name());
    return names;
  };
  const Output without = run("--suite all");
  ASSERT_EQ(without.code, 0) << without.err;
  EXPECT_THAT(without.err, HasSubstr("task arc_easy: no file " + dir_.path() +
                                     "/arc_easy.jsonl; left out"));
  EXPECT_THAT(
      without.err,
      HasSubstr("task gsm8k: no file " + dir_.path() +
                "/gsm8k_train.jsonl for its 5 examples (--few-shot 0 asks for "
                "none); left out"));
  EXPECT_THAT(tasks(), ElementsAre("piqa"));
  ASSERT_EQ(run("--suite all --few-shot 0").code, 0);
  EXPECT_THAT(tasks(), ElementsAre("piqa", "gsm8k"));
  // Examples that are asked for count as well.
  ASSERT_EQ(run("--suite all --few-shot 2 --task gsm8k").code, 0);
  EXPECT_THAT(tasks(), ElementsAre("gsm8k"));
  WriteFile("gsm8k_train.jsonl", "{  }\n");
  ASSERT_EQ(run("--suite generation").code, 0);
  EXPECT_THAT(tasks(), ElementsAre("gsm8k"));
  EXPECT_NE(
      fake_.created_jobs().back().spec().evaluate().tasks(0).few_shot_dataset(),
      "");
}

TEST_F(QuantctlEvaluationTest, PeopleGetATable) {
  const Output output =
      Run("evaluate m --metric ppl/gptq-512 --wait --text " + text_);
  ASSERT_EQ(output.code, 0);
  EXPECT_THAT(output.out, StartsWith("METRIC"));
  EXPECT_THAT(output.out, ContainsRegex("tokens per second +1000.0000"));
  EXPECT_THAT(output.out, HasSubstr("120.3396"));
  EXPECT_THAT(output.out, HasSubstr("models/m"));
}

TEST_F(QuantctlEvaluationTest, ADivergenceNamesItsBaselineAndShowsAllNumbers) {
  const Output output =
      Run("evaluate out --metric divergence/gptq-512 --baseline m --text " +
          text_ + " --wait --json");
  ASSERT_EQ(output.code, 0) << output.err;
  EXPECT_EQ(fake_.created_jobs().back().spec().evaluate().baseline(), "m");
  const auto json = output.Json();
  EXPECT_EQ(json["perplexity"], 125.5);
  EXPECT_EQ(json["tag"]["convention"], "ppl/gptq-512");
  const auto& divergence = json["divergence"];
  EXPECT_EQ(divergence["metric"], "divergence/gptq-512");
  EXPECT_EQ(divergence["kl"]["mean"], 0.03125);
  EXPECT_EQ(divergence["kl"]["percentiles"]["99.9"], 3.25);
  EXPECT_EQ(divergence["worst_tokens"][0]["position"], 34);
  // Every field of the report is there under its own name.
  const auto* type = v1::DivergenceReport::descriptor();
  for (int i = 0; i < type->field_count(); ++i) {
    std::string name = type->field(i)->name();
    if (name == "window_count") name = "windows";
    EXPECT_TRUE(divergence.contains(name)) << name;
  }
}

TEST_F(QuantctlEvaluationTest, PeopleSeeTheDivergenceAndItsWorstTokens) {
  const Output output =
      Run("evaluate out --metric divergence/gptq-512 --wait --text " + text_);
  ASSERT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(output.out, HasSubstr("DIVERGENCE/GPTQ-512"));
  EXPECT_THAT(output.out, HasSubstr("0.03125 +/- 0.0005"));
  EXPECT_THAT(output.out, HasSubstr("91.25 +/- 0.00 %"));
  EXPECT_THAT(output.out, HasSubstr("\"It was\\nthe\""));
}

TEST_F(QuantctlEvaluationTest, GenerationTasksShowWhatABrokenModelWrites) {
  v1::Evaluation evaluation;
  evaluation.set_name("evaluations/written");
  evaluation.set_target("models/m");
  v1::TaskReport& report = *evaluation.add_tasks();
  report.mutable_tag()->set_task("gsm8k");
  report.set_kind("generate_until");
  report.set_repeated_share(0.875);
  report.set_early_end_share(0.125);
  fake_.AddEvaluation(evaluation);
  const Output shown = Run("evaluations show evaluations/written");
  ASSERT_EQ(shown.code, 0) << shown.err;
  EXPECT_THAT(shown.out, ContainsRegex("4-grams said before +87.5 %"));
  EXPECT_THAT(shown.out, ContainsRegex("ended before 4 tokens +12.5 %"));
  const auto json =
      Run("evaluations show evaluations/written --json").Json()["tasks"];
  EXPECT_EQ(json["gsm8k"]["repeated_share"], 0.875);
  EXPECT_EQ(json["gsm8k"]["early_end_share"], 0.125);
}

TEST_F(QuantctlEvaluationTest, AnEfficiencyNeedsNoTextAndShowsAllNumbers) {
  const Output output =
      Run("evaluate m --metric efficiency/pp8-tg4 --wait --json");
  ASSERT_EQ(output.code, 0) << output.err;
  EXPECT_EQ(fake_.created_jobs().back().spec().evaluate().dataset(), "");
  const auto report = output.Json()["efficiencies"][0];
  EXPECT_EQ(report["metric"], "efficiency/pp8-tg4");
  EXPECT_EQ(report["target"]["prompt"]["mean"], 1234);
  EXPECT_EQ(report["target"]["latency"]["p99_seconds"], 0.0205);
  EXPECT_FALSE(report.contains("baseline"));
  EXPECT_FALSE(output.Json().contains("tokens_per_second"));
  EXPECT_THAT(Run("evaluations list").out, HasSubstr("56.25 tokens/s"));
}

TEST_F(QuantctlEvaluationTest, PeopleSeeSpeedsBesideTheBaselines) {
  const Output output =
      Run("evaluate out --metric efficiency/pp8-tg4 --baseline m --wait");
  ASSERT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(output.out, HasSubstr("EFFICIENCY/PP8-TG4"));
  EXPECT_THAT(output.out, HasSubstr("1234 +/- 5.5"));
  EXPECT_THAT(output.out, HasSubstr("1.500 +/- 0.016"));
  EXPECT_THAT(output.out, HasSubstr("20.5"));
  EXPECT_THAT(output.out, HasSubstr("models/m"));
  EXPECT_THAT(output.out, HasSubstr("3.0 MiB"));
  // Nothing was scored: there is no speed of it.
  EXPECT_THAT(output.out, Not(HasSubstr("tokens per second")));
  EXPECT_EQ(Run("evaluate out --metric efficiency/pp8-tg4 --wait")
                .out.find("BASELINE"),
            std::string::npos);
}

TEST_F(QuantctlEvaluationTest, AnAttributionShowsItsUnitsAndTheSuggestion) {
  const std::string command =
      "evaluate out --metric attribution/gptq-512 --attribute layers --text " +
      text_ + " --wait";
  const Output output = Run(command);
  ASSERT_EQ(output.code, 0) << output.err;
  EXPECT_EQ(
      fake_.created_jobs().back().spec().evaluate().attribution_granularity(),
      v1::ATTRIBUTE_LAYERS);
  EXPECT_THAT(output.out, HasSubstr("ATTRIBUTION/GPTQ-512"));
  EXPECT_THAT(output.out, HasSubstr("0.375 +/- 0.12"));
  EXPECT_THAT(output.out, HasSubstr("75.0 +/- 0.0 %"));
  EXPECT_THAT(output.out, HasSubstr("+2 bits"));
  const auto report = Run(command + " --json").Json()["attributions"][0];
  EXPECT_EQ(report["granularity"], "ATTRIBUTE_LAYERS");
  EXPECT_EQ(report["units"][0]["alone_kl"]["mean"], 0.375);
  EXPECT_FALSE(report["units"][0].contains("alone_nll_share"));
  EXPECT_EQ(report["suggestion"]["units"][0]["change"], 2);
  EXPECT_FALSE(fake_.created_jobs()
                   .back()
                   .spec()
                   .evaluate()
                   .has_attribution_target_bits());
}

TEST_F(QuantctlEvaluationTest, ASuggestionUnderABudgetIsARecipe) {
  const std::string command =
      "evaluate out --metric attribution/gptq-512 --target-bits 5.5 --text " +
      text_ + " --wait";
  const Output output = Run(command);
  ASSERT_EQ(output.code, 0) << output.err;
  EXPECT_EQ(
      fake_.created_jobs().back().spec().evaluate().attribution_target_bits(),
      5.5);
  EXPECT_THAT(output.out,
              HasSubstr("5.250 per weight instead of 3.250 (at most 5.5)"));
  // As it stands in a recipe: quantctl reads it back.
  const std::string rule =
      R"(layer_rules { pattern: "model\\.layers\\.0\\..*" set: "bits=5" })";
  EXPECT_THAT(output.out, HasSubstr("\n" + rule + "\n"));
  const std::string file = WriteFile(
      "recipe.textproto", "name: \"mine\" stages { rtn {} }\n" + rule);
  EXPECT_EQ(Run("quantize m --recipe " + file + " --name mine").code, 0);
  const v1::Recipe recipe =
      fake_.created_jobs().back().spec().quantize().recipe();
  ASSERT_EQ(recipe.layer_rules_size(), 1);
  EXPECT_EQ(recipe.layer_rules(0).pattern(), "model\\.layers\\.0\\..*");
  EXPECT_THAT(recipe.layer_rules(0).set(), ElementsAre("bits=5"));
  const auto suggestion =
      Run(command + " --json").Json()["attributions"][0]["suggestion"];
  EXPECT_EQ(suggestion["target_bits_per_weight"], 5.5);
  EXPECT_EQ(suggestion["layer_rules"][0]["set"][0], "bits=5");
  EXPECT_EQ(suggestion["recipe"], "name: \"rtn-suggested\"\n");
}

TEST_F(QuantctlEvaluationTest, ReportShowsDivergencesFromTheModel) {
  Evaluate("m");
  Evaluate("out", "divergence/gptq-512");
  const auto json = Run("report m --json").Json();
  EXPECT_FALSE(json["rows"][0].contains("mean_kl"));
  EXPECT_EQ(json["rows"][1]["mean_kl"], 0.03125);
  EXPECT_EQ(json["rows"][1]["mean_kl_error"], 0.0005);
  EXPECT_EQ(json["rows"][1]["top1_agreement"], 0.9125);
  const Output table = Run("report m");
  EXPECT_THAT(table.out, HasSubstr("MEAN KL"));
  EXPECT_THAT(table.out, HasSubstr("0.03125 +/- 0.0005"));
  EXPECT_THAT(table.out, HasSubstr("91.25 %"));
}

TEST_F(QuantctlEvaluationTest, FailedEvaluationPrintsOneObjectToo) {
  JobScript script;
  script.end = v1::FAILED;
  script.error = "text is too short";
  fake_.SetScript(script);
  const Output output = Evaluate("m");
  EXPECT_EQ(output.code, 1);
  EXPECT_EQ(output.Json()["state"], "FAILED");
}

TEST_F(QuantctlEvaluationTest, EvaluationsAreListedAndShown) {
  Evaluate("m");
  Evaluate("out");
  EXPECT_EQ(Run("evaluations list --json").JsonLines().size(), 2u);
  const auto of_m = Run("evaluations list m --json").JsonLines();
  ASSERT_EQ(of_m.size(), 1u);
  EXPECT_EQ(of_m[0]["target"], "models/m");
  const std::string name = of_m[0]["evaluation"];
  EXPECT_EQ(Run("evaluations show " + name + " --json").Json()["perplexity"],
            120.3396);
  EXPECT_EQ(Run("evaluations show out --json").Json()["perplexity"], 125.5);
  EXPECT_EQ(Run("evaluations show nothing").code, 3);
}

TEST_F(QuantctlEvaluationTest, CompareUsesTheLatestOfTheSameTag) {
  Evaluate("m");
  Evaluate("out");
  Evaluate("m", "ppl/llamacpp-512");  // newer, but nothing to pair it with
  const Output output = Run("compare m out --json");
  ASSERT_EQ(output.code, 0) << output.err;
  const auto json = output.Json();
  EXPECT_EQ(json["tag"]["convention"], "ppl/gptq-512");
  EXPECT_NEAR(json["ratio"].get<double>(), 125.5 / 120.3396, 1e-12);
  EXPECT_EQ(json["ratio_error"], 0.01);
  EXPECT_THAT(Run("compare m out").out, HasSubstr("ratio      1.0429 +/- "));
}

TEST_F(QuantctlEvaluationTest, DataOfSeveralFilesIsSentAsOne) {
  std::filesystem::create_directory(dir_.File("many"));
  WriteFile("many/b.json", "{\"n\": 2}");
  WriteFile("many/a.json", "{\"n\": 1}");
  WriteFile("many/.c.json", "hidden");
  const Output output =
      Run("evaluate m --task many_json --wait --data " + dir_.path());
  ASSERT_EQ(output.code, 0) << output.err;
  const std::string dataset =
      fake_.created_jobs().back().spec().evaluate().tasks(0).dataset();
  EXPECT_EQ(fake_.dataset_bytes(BareId(dataset)), "{\"n\": 1}\n{\"n\": 2}");
}

TEST_F(QuantctlEvaluationTest, TablesWithColumnNamesAreNotPutTogether) {
  std::filesystem::create_directory(dir_.File("many"));
  for (const std::string format : {"csv", "tsv"}) {
    WriteFile("many/a." + format, "n\n1\n");
    const std::string command =
        "evaluate m --task many_" + format + " --wait --data " + dir_.path();
    EXPECT_EQ(Run(command).code, 0);
    WriteFile("many/b." + format, "n\n2\n");
    const Output output = Run(command);
    EXPECT_NE(output.code, 0);
    EXPECT_THAT(output.err, HasSubstr("task many_" + format));
    EXPECT_THAT(output.err, HasSubstr("several files"));
  }
}

// An evaluation with word and byte perplexities of a rolling convention.
v1::Evaluation Rolling(const std::string& name, const std::string& target,
                       double scale) {
  v1::Evaluation evaluation;
  evaluation.set_name("evaluations/" + name);
  evaluation.set_target(target);
  v1::PerplexityReport& report = *evaluation.add_perplexities();
  report.mutable_tag()->set_convention("ppl/lmeval-rolling-128");
  report.set_perplexity(16 * scale);
  report.mutable_word_perplexity()->set_value(32 * scale);
  report.mutable_word_perplexity()->set_error_clustered(0.5);
  report.mutable_byte_perplexity()->set_value(1.5 * scale);
  report.mutable_bits_per_byte()->set_value(0.75 * scale);
  return evaluation;
}

TEST_F(QuantctlEvaluationTest, CompareSetsWordsAndBytesSideBySide) {
  fake_.AddEvaluation(Rolling("a", "models/m", 1));
  fake_.AddEvaluation(Rolling("b", "artifacts/out", 1.25));
  const Output output = Run("compare m out");
  ASSERT_EQ(output.code, 0) << output.err;
  EXPECT_THAT(
      output.out,
      ContainsRegex("ppl/lmeval-rolling-128 word perplexity +32.0000 .* "
                    "+40.0000 .* +x 1.2500 .* 0.1250"));
  EXPECT_THAT(output.out,
              ContainsRegex("byte perplexity +1.5000 .* +1.8750 .* +x 1.0625"));
  EXPECT_THAT(output.out, ContainsRegex("bits per byte +0.7500 .* +0.9375 .* "
                                        "[+] 0.1875 .* 0.0312"));
  const auto json = Run("compare m out --json").Json()["words_and_bytes"][0];
  EXPECT_EQ(json["convention"], "ppl/lmeval-rolling-128");
  EXPECT_EQ(json["baseline_word_perplexity"]["value"], 32);
  EXPECT_EQ(json["candidate_word_perplexity"]["value"], 40);
  EXPECT_EQ(json["candidate_bits_per_byte"]["value"], 0.9375);
  EXPECT_EQ(json["bits_per_byte_difference"], 0.1875);
  // Nothing of it where words are not counted.
  const std::string a = Evaluate("m").Json()["evaluation"];
  const std::string b = Evaluate("out").Json()["evaluation"];
  EXPECT_THAT(Run("compare " + a + " " + b).out,
              Not(HasSubstr("WORDS AND BYTES")));
}

TEST_F(QuantctlEvaluationTest, CompareTakesEvaluationsByName) {
  const std::string a = Evaluate("m").Json()["evaluation"];
  const std::string b = Evaluate("out").Json()["evaluation"];
  const auto json = Run("compare " + a + " " + b + " --json").Json();
  EXPECT_EQ(json["baseline"], a);
  EXPECT_EQ(json["candidate"], b);
}

TEST_F(QuantctlEvaluationTest, IncomparableOrMissingIsRefused) {
  const Output missing = Run("compare m out");
  EXPECT_EQ(missing.code, 3);
  EXPECT_THAT(missing.err, HasSubstr("m has no evaluation"));
  Evaluate("m");
  Evaluate("out", "ppl/llamacpp-512");
  const Output different = Run("compare m out");
  EXPECT_EQ(different.code, 6);
  EXPECT_THAT(different.err, HasSubstr("ppl/gptq-512 on text aaaaaaaa"));
  EXPECT_THAT(different.err, HasSubstr("ppl/llamacpp-512 on text aaaaaaaa"));
}

TEST_F(QuantctlEvaluationTest, ReportSetsTheModelBesideItsArtifacts) {
  Run("quantize m --method rtn --name unscored");
  fake_.AddArtifact("foreign", "models/other", {{"f", "x"}});
  Evaluate("m");
  Evaluate("out");
  const Output output = Run("report m --json");
  ASSERT_EQ(output.code, 0) << output.err;
  EXPECT_EQ(std::count(output.out.begin(), output.out.end(), '\n'), 1);
  const auto json = output.Json();
  EXPECT_EQ(json["tag"]["convention"], "ppl/gptq-512");
  ASSERT_EQ(json["rows"].size(), 3u);
  const auto& original = json["rows"][0];
  EXPECT_EQ(original["method"], "original");
  EXPECT_EQ(original["bits_per_weight"], 16);  // 2 MB for 1 M weights
  EXPECT_EQ(original["perplexity"], 120.3396);
  EXPECT_FALSE(original.contains("ratio"));
  const auto& row = json["rows"][1];
  EXPECT_EQ(row["name"], "artifacts/out");
  EXPECT_EQ(row["method"], "gptq");
  EXPECT_EQ(row["perplexity"], 125.5);
  EXPECT_EQ(row["perplexity_error_clustered"], 2.5);
  EXPECT_EQ(row["ratio_error"], 0.01);
  EXPECT_EQ(row["wall_seconds"], 12.5);
  EXPECT_EQ(json["rows"][2]["name"], "artifacts/unscored");
  EXPECT_FALSE(json["rows"][2].contains("perplexity"));
  const Output table = Run("report m");
  EXPECT_THAT(table.out, StartsWith("NAME"));
  EXPECT_THAT(table.out, HasSubstr("125.5000 +/- 2.5000"));
  EXPECT_THAT(table.out, HasSubstr("tag: ppl/gptq-512"));
}

TEST_F(QuantctlEvaluationTest, ReportCanChooseTheMetric) {
  Evaluate("m");
  Evaluate("m", "ppl/llamacpp-512");
  EXPECT_EQ(Run("report m --json").Json()["tag"]["convention"],
            "ppl/llamacpp-512");
  EXPECT_EQ(
      Run("report m --json --metric ppl/gptq-512").Json()["tag"]["convention"],
      "ppl/gptq-512");
  EXPECT_EQ(Run("report m --metric ppl/gptq-64").code, 3);
  EXPECT_EQ(Run("report nothing").code, 3);
}

TEST_F(QuantctlEvaluationTest, ReportFindsAMetricWithoutItsNumber) {
  for (const char* convention :
       {"ppl/lmeval-rolling-128", "ppl/gptq-512", "ppl/gptq-64/first-3",
        "ppl/llamacpp-512", "ppl/hf-stride-32-128", "ppl/hf-stride-64-128"}) {
    ASSERT_EQ(Evaluate("m", convention).code, 0);
  }
  const auto chosen = [&](const std::string& metric) {
    return Run("report m --json --metric " + metric)
        .Json()["tag"]["convention"];
  };
  EXPECT_EQ(chosen("ppl/lmeval-rolling"), "ppl/lmeval-rolling-128");
  EXPECT_EQ(chosen("ppl/llamacpp"), "ppl/llamacpp-512");
  // The latest of all that begin so.
  EXPECT_EQ(chosen("ppl/gptq"), "ppl/gptq-64/first-3");
  EXPECT_EQ(chosen("ppl/hf-stride"), "ppl/hf-stride-64-128");
  EXPECT_EQ(chosen("ppl/hf-stride-32"), "ppl/hf-stride-32-128");
  for (const char* metric : {"ppl/lmeval", "ppl/gptq-51", "ppl/gptq-64", "ppl",
                             "ppl/hf-stride-32-12"}) {
    EXPECT_EQ(Run(std::string("report m --metric ") + metric).code, 3)
        << metric;
  }
}

}  // namespace
}  // namespace quantd::test
