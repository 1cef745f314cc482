// The demo's path from the command line to a perplexity, on the bundled model.
#include <signal.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/sha256.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "tests/integration/process.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::CommandResult;
using ::quantd::test::DemoModel;
using ::quantd::test::RunQuantctl;
using ::quantd::test::ServerProcess;
using ::quantd::test::TempDir;
using ::testing::HasSubstr;

class FirstLightTest : public testing::Test {
 protected:
  void SetUp() override {
    // Scores are not kept, so that each evaluation computes its own.
    ASSERT_OK_AND_ASSIGN(server_, ServerProcess::Start(data_.File("data"),
                                                       {"--score-cache", "0"}));
  }

  CommandResult Ctl(const std::vector<std::string>& args) {
    return RunQuantctl(server_->address(), args);
  }

  // Runs a command that must succeed and returns its output.
  std::string Ok(const std::vector<std::string>& args) {
    const CommandResult result = Ctl(args);
    EXPECT_EQ(result.exit_code, 0)
        << testing::PrintToString(args) << result.err << server_->Log();
    return result.out;
  }

  nlohmann::json Evaluate(const std::string& target) {
    const std::string out = Ok({"evaluate", target, "--metric", "ppl/gptq-256",
                                "--text", DemoModel() + "/eval.txt",
                                "--max-windows", "60", "--wait", "--json"});
    auto json = nlohmann::json::parse(out, nullptr, false);
    EXPECT_TRUE(json.is_object()) << out;
    return json;
  }

  TempDir data_;
  std::unique_ptr<ServerProcess> server_;
};

TEST_F(FirstLightTest, QuantizeEvaluateCompareDownload) {
  Ok({"models", "add", "demo", DemoModel()});
  Ok({"quantize", "demo", "--method", "rtn", "--set", "bits=2", "--name",
      "demo-rtn2", "--wait"});
  Ok({"quantize", "demo", "--method", "gptq", "--set", "bits=2", "--set",
      "group_size=64", "--calibration", DemoModel() + "/calibration.txt",
      "--windows", "32", "--name", "demo-gptq2", "--wait"});
  const nlohmann::json original = Evaluate("demo");
  const nlohmann::json rtn = Evaluate("demo-rtn2");
  const nlohmann::json gptq = Evaluate("demo-gptq2");
  ASSERT_TRUE(gptq.contains("perplexity"));
  EXPECT_EQ(original["windows"], 60);
  EXPECT_EQ(original["scored_tokens"], 60 * 255);
  EXPECT_EQ(original["tag"], rtn["tag"]);
  EXPECT_LT(original["perplexity"], gptq["perplexity"]);
  EXPECT_LT(gptq["perplexity"], rtn["perplexity"]);
  EXPECT_GT(original["perplexity_error_clustered"], 0);
  EXPECT_NEAR(gptq["bits_per_weight"], 2 + 18.0 / 64, 0.01);
  EXPECT_LT(gptq["size_bytes"], original["size_bytes"]);

  const auto comparison = nlohmann::json::parse(
      Ok({"compare", "demo", "demo-gptq2", "--json"}), nullptr, false);
  ASSERT_TRUE(comparison.is_object());
  EXPECT_NEAR(
      comparison["ratio"],
      gptq["perplexity"].get<double>() / original["perplexity"].get<double>(),
      1e-9);

  const auto continued = nlohmann::json::parse(
      Ok({"generate", "demo-gptq2", "--prompt", "It was the", "--prompt",
          "The king", "--max-new-tokens", "6", "--wait", "--json"}),
      nullptr, false);
  ASSERT_TRUE(continued.is_object());
  ASSERT_EQ(continued["generations"].size(), 2u);
  EXPECT_EQ(continued["generations"][1]["prompt"], "The king");
  EXPECT_LE(continued["generations"][0]["continuations"][0]["tokens"].size(),
            6u);

  const std::string target = data_.File("download");
  Ok({"artifacts", "get", "demo-gptq2", target});
  ASSERT_OK_AND_ASSIGN(const std::string summary,
                       ReadFile(target + "/quantd.json"));
  EXPECT_EQ(nlohmann::json::parse(summary)["recipe"]["name"], "gptq");
  EXPECT_TRUE(std::filesystem::exists(target + "/tokenizer.json"));
  EXPECT_TRUE(
      std::filesystem::exists(target + "/model.safetensors.index.json"));

  EXPECT_THAT(Ok({"jobs", "list"}), HasSubstr("SUCCEEDED"));
  EXPECT_THAT(Ok({"report", "demo"}), HasSubstr("demo-gptq2"));
  EXPECT_EQ(server_->Stop(SIGTERM), 0) << "drains";
}

// Both artifacts have the same configuration, tensors and sizes, and the server
// keeps scores.
TEST_F(FirstLightTest, ScoresAreKeptByWeightsNotByShapes) {
  server_.reset();
  ASSERT_OK_AND_ASSIGN(server_, ServerProcess::Start(data_.File("cached")));
  Ok({"models", "add", "demo", DemoModel()});
  Ok({"quantize", "demo", "--method", "rtn", "--set", "bits=2", "--name",
      "plain", "--wait"});
  Ok({"quantize", "demo", "--method", "rtn", "--set", "bits=2", "--set",
      "range_fit=SHRINK_SEARCH", "--name", "fitted", "--wait"});
  const nlohmann::json plain = Evaluate("plain");
  const nlohmann::json fitted = Evaluate("fitted");
  EXPECT_EQ(plain["size_bytes"], fitted["size_bytes"]);
  EXPECT_GT(std::abs(plain["perplexity"].get<double>() -
                     fitted["perplexity"].get<double>()),
            1e-3);
  const nlohmann::json again = Evaluate("plain");
  EXPECT_EQ(again["perplexity"], plain["perplexity"]);
  EXPECT_EQ(again.value("tokens_per_second", 0.0), 0) << "all were kept";
}

TEST_F(FirstLightTest, DivergenceFromTheOriginalInOnePass) {
  Ok({"models", "add", "demo", DemoModel()});
  for (const std::string bits : {"2", "8"}) {
    Ok({"quantize", "demo", "--method", "rtn", "--set", "bits=" + bits,
        "--name", "rtn" + bits, "--wait"});
  }
  const auto divergence = [&](const std::string& target,
                              const std::vector<std::string>& more) {
    std::vector<std::string> args = {"evaluate",      target,
                                     "--metric",      "divergence/gptq-256",
                                     "--text",        DemoModel() + "/eval.txt",
                                     "--max-windows", "12",
                                     "--wait",        "--json"};
    args.insert(args.end(), more.begin(), more.end());
    auto json = nlohmann::json::parse(Ok(args), nullptr, false);
    EXPECT_TRUE(json.is_object());
    return json;
  };
  const nlohmann::json rtn8 = divergence("rtn8", {});
  const nlohmann::json rtn2 = divergence("rtn2", {});
  ASSERT_TRUE(rtn8.contains("divergence"));
  ASSERT_TRUE(rtn2.contains("divergence"));
  EXPECT_EQ(rtn8["divergence"]["baseline"], "models/demo");
  EXPECT_GT(rtn8["divergence"]["kl"]["mean"], 0);
  EXPECT_LT(rtn8["divergence"]["kl"]["mean"], 0.01);
  EXPECT_GT(rtn2["divergence"]["kl"]["mean"], 0.1);
  EXPECT_GT(rtn8["divergence"]["top1_agreement"]["mean"], 0.95);
  EXPECT_EQ(rtn2["divergence"]["worst_tokens"].size(), 10u);
  EXPECT_NE(rtn2["divergence"]["worst_tokens"][0]["context"], "");

  // The perplexity is that of the metric of its own, to rounding.
  const auto alone =
      nlohmann::json::parse(Ok({"evaluate", "rtn2", "--metric", "ppl/gptq-256",
                                "--text", DemoModel() + "/eval.txt",
                                "--max-windows", "12", "--wait", "--json"}),
                            nullptr, false);
  ASSERT_TRUE(alone.is_object());
  EXPECT_EQ(alone["tag"], rtn2["tag"]);
  EXPECT_NEAR(
      rtn2["perplexity"].get<double>() / alone["perplexity"].get<double>(), 1,
      1e-5);

  const nlohmann::json itself = divergence("demo", {"--baseline", "demo"});
  ASSERT_TRUE(itself.contains("divergence"));
  EXPECT_EQ(itself["divergence"]["kl"]["maximum"], 0);
  EXPECT_EQ(itself["divergence"]["top1_agreement"]["mean"], 1);

  const nlohmann::json layers =
      divergence("rtn2", {"--order", "layer-major", "--threads", "1"});
  EXPECT_EQ(layers["divergence"], rtn2["divergence"]);

  const CommandResult refused =
      Ctl({"evaluate", "demo", "--metric", "divergence/gptq-256", "--text",
           DemoModel() + "/eval.txt"});
  EXPECT_EQ(refused.exit_code, 2) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("spec.evaluate.baseline"));
  EXPECT_THAT(Ok({"report", "demo"}), HasSubstr("MEAN KL"));
  EXPECT_THAT(Ok({"jobs", "list", "--json"}), HasSubstr("/mean_kl"));
}

// A task as a user writes one: a file of questions and a file of keys.
// Two ways to the same loss: all units exchanged, and the two models side by
// side.
TEST_F(FirstLightTest, TheLossOfACompressedModelIsAttributedToItsBlocks) {
  Ok({"models", "add", "demo", DemoModel()});
  Ok({"quantize", "demo", "--method", "rtn", "--set", "bits=2", "--name",
      "rtn2", "--wait"});
  const std::vector<std::string> evaluate = {
      "evaluate",      "rtn2",
      "--text",        DemoModel() + "/eval.txt",
      "--metric",      "attribution/gptq-256",
      "--metric",      "divergence/gptq-256",
      "--max-windows", "6",
      "--wait"};
  std::vector<std::string> as_json = evaluate;
  as_json.push_back("--json");
  const auto json = nlohmann::json::parse(Ok(as_json), nullptr, false);
  ASSERT_TRUE(json.is_object());
  ASSERT_EQ(json["attributions"].size(), 1u);
  const nlohmann::json& report = json["attributions"][0];
  EXPECT_EQ(report["metric"], "attribution/gptq-256/first-6");
  EXPECT_EQ(report["baseline"], "models/demo");
  const double kl = report["kl"]["mean"];
  EXPECT_GT(kl, 0.1);
  EXPECT_NEAR(kl, json["divergence"]["kl"]["mean"].get<double>(), 1e-4);
  ASSERT_GE(report["units"].size(), 2u);
  double alone = 0;
  for (const nlohmann::json& unit : report["units"]) {
    EXPECT_TRUE(unit["compressed"].get<bool>()) << unit;
    const double own = unit["alone_kl"]["mean"];
    EXPECT_GT(own, 0) << unit;
    EXPECT_LT(own, kl) << unit;
    EXPECT_LT(unit["restored_kl"]["mean"].get<double>(), kl) << unit;
    EXPECT_NEAR(unit["alone_kl_share"].get<double>(), own / kl, 1e-6) << unit;
    alone += own;
  }
  EXPECT_NEAR(report["kl_additivity_residual"]["mean"].get<double>(),
              alone - kl, 1e-6);
  EXPECT_THAT(Ok(evaluate), HasSubstr("model.layers.0"));
}

TEST_F(FirstLightTest, ATaskOfOnesOwnIsScoredComparedAndKept) {
  EXPECT_EQ(server_->Stop(SIGTERM), 0);
  ASSERT_OK_AND_ASSIGN(server_, ServerProcess::Start(data_.File("data"), {}));
  std::string records;
  for (int i = 0; i < 60; ++i) {
    const bool swapped = i % 3 == 0;
    absl::StrAppend(&records, R"({"about": "the number )", i,
                    R"(", "choices": [")", swapped ? "zqx" : "and then",
                    R"(", ")", swapped ? "and then" : "zqx",
                    R"("], "answer": )", swapped ? 1 : 0, R"(, "kind": ")",
                    i % 2 == 0 ? "even" : "odd", "\"}\n");
  }
  const std::string data = data_.File("records.jsonl");
  const std::string task = data_.File("sense.yaml");
  ASSERT_TRUE(WriteFileDurably(data, records).ok());
  ASSERT_TRUE(WriteFileDurably(task, R"(task: sense
title: Words and what are none
output_type: multiple_choice
doc_to_text: "This is {{ about }}"
doc_to_choice: "{{ choices }}"
doc_to_target: answer
metric_list:
  - metric: acc
subsets: [kind]
)")
                  .ok());
  EXPECT_THAT(Ok({"tasks", "check", task}), HasSubstr("sense"));
  EXPECT_THAT(Ok({"tasks", "list"}), HasSubstr("hellaswag"));
  Ok({"models", "add", "demo", DemoModel()});
  for (const std::string bits : {"2", "8"}) {
    Ok({"quantize", "demo", "--method", "rtn", "--set", "bits=" + bits,
        "--name", "rtn" + bits, "--wait"});
  }
  const auto evaluate = [&](const std::string& target,
                            const std::vector<std::string>& more) {
    std::vector<std::string> args = {"evaluate", target, "--task", task,
                                     "--data",   data,   "--wait", "--json"};
    args.insert(args.end(), more.begin(), more.end());
    auto json = nlohmann::json::parse(Ok(args), nullptr, false);
    EXPECT_TRUE(json.is_object());
    return json["tasks"]["sense"];
  };
  const nlohmann::json first = evaluate("demo", {});
  ASSERT_TRUE(first.is_object());
  EXPECT_EQ(first["item_count"], 60);
  EXPECT_GT(first["metrics"]["acc"]["value"], 0.9) << "words it has seen";
  EXPECT_EQ(first["subsets"]["kind"]["even"]["item_count"], 30);
  EXPECT_EQ(first["requests"], 240);
  EXPECT_LT(first["tokens_run"], first["tokens_unshared"]);

  // Again: nothing is computed, nothing changes.
  const nlohmann::json again = evaluate("demo", {"--batch-tokens", "64"});
  EXPECT_EQ(again["kept_requests"], 240);
  EXPECT_EQ(again["tokens_run"], 0);
  EXPECT_EQ(again["metrics"], first["metrics"]);

  // In the strict type batches change no bit; the second comes from no cache.
  const nlohmann::json strict =
      evaluate("rtn8", {"--compute-type", "F32_STRICT"});
  EXPECT_EQ(strict["kept_requests"], 0);
  evaluate("rtn8", {});
  evaluate("rtn2", {});

  const auto verdict = [&](const std::string& candidate) {
    auto json = nlohmann::json::parse(
        Ok({"compare", "demo", candidate, "--margin", "0.1", "--json"}),
        nullptr, false);
    EXPECT_TRUE(json.is_object());
    return json["metrics"][0];
  };
  const nlohmann::json good = verdict("rtn8");
  EXPECT_EQ(good["task"], "sense");
  EXPECT_EQ(good["metric"], "acc");
  EXPECT_EQ(good["verdict"], "EQUIVALENT");
  EXPECT_EQ(good["test"], "mcnemar");
  EXPECT_LE(good["p_value"], good["adjusted_p_value"]);
  EXPECT_THAT(Ok({"compare", "demo", "rtn2"}), HasSubstr("VERDICT"));
  EXPECT_THAT(Ok({"evaluations", "list"}), HasSubstr("sense acc"));
  EXPECT_THAT(Ok({"evaluations", "show", "rtn2"}), HasSubstr("KIND"));

  // What is wrong with a task is said before anything runs.
  ASSERT_TRUE(
      WriteFileDurably(task, "task: sense\noutput_typ: multiple_choice\n")
          .ok());
  const CommandResult typo = Ctl({"tasks", "check", task});
  EXPECT_EQ(typo.exit_code, 2);
  EXPECT_THAT(typo.err, HasSubstr("output_typ"));
  const CommandResult unknown =
      Ctl({"evaluate", "demo", "--task", "sens", "--data", data});
  EXPECT_EQ(unknown.exit_code, 3);
  EXPECT_THAT(unknown.err, HasSubstr("lambada_openai"));
  const CommandResult nowhere =
      Ctl({"evaluate", "demo", "--task", "piqa", "--data", data_.path()});
  EXPECT_EQ(nowhere.exit_code, 3);
  EXPECT_THAT(nowhere.err, HasSubstr("piqa/piqa.jsonl"));
}

// Eight bits lose nothing that matters and two bits do, in every one of three
// tests that are adjusted together: perplexity, the next word, and which of two
// continuations is the text's.
TEST_F(FirstLightTest, EightBitsAreEquivalentAndTwoAreWorseOverAFamily) {
  ASSERT_OK_AND_ASSIGN(const std::string text,
                       ReadFile(DemoModel() + "/eval.txt"));
  const std::vector<std::string> words =
      absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  constexpr size_t kItems = 600, kContext = 20;
  const auto passage = [&](size_t item, size_t skipped, size_t count) {
    const size_t first = item * (words.size() / kItems) + skipped;
    return absl::StrJoin(words.begin() + static_cast<ptrdiff_t>(first),
                         words.begin() + static_cast<ptrdiff_t>(first + count),
                         " ");
  };
  std::string records;
  for (size_t i = 0; i < kItems; ++i) {
    std::vector<std::string> choices = {
        passage(i, kContext, 6),
        passage((i + kItems / 3) % kItems, kContext, 6)};
    if (i % 2 == 1) std::swap(choices[0], choices[1]);
    const nlohmann::json record = {{"begin", passage(i, 0, kContext)},
                                   {"next", " " + passage(i, kContext, 1)},
                                   {"choices", choices},
                                   {"answer", i % 2}};
    absl::StrAppend(&records, record.dump(), "\n");
  }
  const auto write = [&](const std::string& name, const std::string& content) {
    ASSERT_TRUE(WriteFileDurably(data_.File(name), content).ok());
  };
  write("records.jsonl", records);
  write("next.yaml", R"(task: next
output_type: loglikelihood
data: {file: records.jsonl}
doc_to_text: "{{ begin }}"
doc_to_target: "{{ next }}"
metric_list:
  - metric: acc
)");
  write("follow.yaml", R"(task: follow
output_type: multiple_choice
data: {file: records.jsonl}
doc_to_text: "{{ begin }}"
doc_to_choice: "{{ choices }}"
doc_to_target: answer
metric_list:
  - metric: acc_pmi
)");
  Ok({"models", "add", "demo", DemoModel()});
  for (const std::string bits : {"2", "8"}) {
    Ok({"quantize", "demo", "--method", "rtn", "--set", "bits=" + bits,
        "--name", "rtn" + bits, "--wait"});
  }
  for (const std::string target : {"demo", "rtn2", "rtn8"}) {
    Ok({"evaluate", target, "--task", data_.File("next.yaml"), "--task",
        data_.File("follow.yaml"), "--data", data_.path(), "--metric",
        "ppl/gptq-256", "--max-windows", "30", "--text",
        DemoModel() + "/eval.txt", "--wait"});
  }
  // The tests of the family by increasing p, which Holm's factors go by.
  const auto family = [&](const std::string& candidate) {
    const auto json = nlohmann::json::parse(
        Ok({"compare", "demo", candidate, "--margin", "0.02", "--json"}),
        nullptr, false);
    EXPECT_TRUE(json.is_object());
    std::vector<nlohmann::json> tests;
    for (const nlohmann::json& row : json["metrics"]) {
      if (row["in_family"] == true) tests.push_back(row);
    }
    std::sort(tests.begin(), tests.end(), [](const auto& a, const auto& b) {
      return a["p_value"] < b["p_value"];
    });
    EXPECT_EQ(tests.size(), 3u);
    double adjusted = 0;
    for (size_t i = 0; i < tests.size(); ++i) {
      const double p = tests[i]["p_value"];
      adjusted = std::max(
          adjusted, std::min(1.0, static_cast<double>(tests.size() - i) * p));
      EXPECT_NEAR(tests[i]["adjusted_p_value"].get<double>(), adjusted,
                  1e-12 + 1e-9 * adjusted);
    }
    return tests;
  };
  for (const nlohmann::json& row : family("rtn2")) {
    SCOPED_TRACE(row.dump());
    EXPECT_EQ(row["verdict"], "WORSE");
    EXPECT_LT(row["adjusted_p_value"], 0.05);
    EXPECT_GT(row["low"], 0);
  }
  for (const nlohmann::json& row : family("rtn8")) {
    SCOPED_TRACE(row.dump());
    EXPECT_EQ(row["verdict"], "EQUIVALENT");
    EXPECT_GT(row["adjusted_p_value"], 0.05);
    EXPECT_LT(row["high"], row["margin"]);
  }
}

// From a compressed model to where its loss is, to bits on a budget, to a model
// that has them.
TEST_F(FirstLightTest, ASuggestionOfBitsIsARecipeThatQuantizes) {
  Ok({"models", "add", "demo", DemoModel()});
  Ok({"quantize", "demo", "--method", "rtn", "--set", "bits=3", "--name",
      "rtn3", "--wait"});
  const auto attribute = [&](const std::string& granularity,
                             const std::string& bits) {
    return std::vector<std::string>{"evaluate",      "rtn3",
                                    "--metric",      "attribution/gptq-128",
                                    "--text",        DemoModel() + "/eval.txt",
                                    "--max-windows", "2",
                                    "--attribute",   granularity,
                                    "--target-bits", bits,
                                    "--wait",        "--json"};
  };
  for (const std::string granularity : {"blocks", "layers"}) {
    const auto json = nlohmann::json::parse(Ok(attribute(granularity, "3.6")),
                                            nullptr, false);
    ASSERT_TRUE(json.is_object());
    const nlohmann::json& suggestion = json["attributions"][0]["suggestion"];
    EXPECT_EQ(suggestion["target_bits_per_weight"], 3.6);
    EXPECT_NEAR(suggestion["bits_per_weight"].get<double>(), 3.297, 0.001);
    const double suggested = suggestion["suggested_bits_per_weight"];
    EXPECT_LE(suggested, 3.6);
    EXPECT_GT(suggested, 3.3);
    EXPECT_LT(suggestion["predicted_kl"], suggestion["kl"]);
    EXPECT_FALSE(suggestion["layer_rules"].empty());
    const std::string file = data_.File("suggested.textproto");
    ASSERT_TRUE(
        WriteFileDurably(file, suggestion["recipe"].get<std::string>()).ok());
    const auto made = nlohmann::json::parse(
        Ok({"quantize", "demo", "--recipe", file, "--name", "by-" + granularity,
            "--wait", "--json"}),
        nullptr, false);
    ASSERT_TRUE(made.is_object());
    // A zero point has as many bits as a code: a little more than suggested.
    EXPECT_NEAR(made["bits_per_weight"].get<double>(), suggested, 0.02);
  }
  const CommandResult refused = Ctl(attribute("blocks", "1.2"));
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(
      refused.out + refused.err,
      HasSubstr("at 3.297 bits per weight now, can take 2.297 to 5.297"));
}

// Weights that are finite and overflow in the first block.
TEST_F(FirstLightTest, AModelThatOverflowsHasNoScore) {
  const std::string directory = data_.File("broken");
  ASSERT_TRUE(CreateDirectories(directory).ok());
  test::TinyModelOptions options;
  options.overflows = true;
  test::WriteTinyModel(directory, options);
  const std::string text = data_.File("text");
  ASSERT_TRUE(WriteFileDurably(text, test::TinyText(400)).ok());
  Ok({"models", "add", "broken", directory});
  const CommandResult scored =
      Ctl({"evaluate", "broken", "--metric", "ppl/gptq-16", "--text", text,
           "--wait", "--json"});
  EXPECT_EQ(scored.exit_code, 1) << scored.out;
  const auto job = nlohmann::json::parse(scored.out, nullptr, false);
  ASSERT_TRUE(job.is_object()) << scored.out;
  EXPECT_EQ(job["state"], "FAILED");
  EXPECT_THAT(scored.out, HasSubstr("ppl/gptq-16: the model gives NaN"));
  EXPECT_EQ(Ok({"evaluations", "list", "--json"}), "");
}

TEST_F(FirstLightTest, ContaminationAndTheLawOfDegradationAreReports) {
  const auto itself = nlohmann::json::parse(
      Ok({"contamination", "--calibration", DemoModel() + "/eval.txt", "--text",
          DemoModel() + "/eval.txt", "--json"}),
      nullptr, false);
  ASSERT_TRUE(itself.is_object());
  EXPECT_EQ(itself["shared_share"], 1);
  EXPECT_GT(itself["contaminated_windows"], 10);
  const auto apart = nlohmann::json::parse(
      Ok({"contamination", "--calibration", DemoModel() + "/calibration.txt",
          "--text", DemoModel() + "/eval.txt", "--json"}),
      nullptr, false);
  ASSERT_TRUE(apart.is_object());
  EXPECT_LT(apart["shared_share"], 0.05);

  // Points that follow a law give it back.
  std::string csv = "parameters,training_tokens,bits,loss,degradation\n";
  for (const double n : {1e8, 1e9, 1e10}) {
    for (const double d : {1e10, 1e11, 1e12}) {
      for (const double bits : {2.0, 3.0, 4.0}) {
        const double law = 0.017 * std::pow(d, 0.5251) /
                           (std::pow(n, 0.2261) * std::pow(bits, 5.4967));
        absl::StrAppend(&csv, n, ",", d, ",", bits, ",3,", law, "\n");
      }
    }
  }
  const std::string points = data_.File("points.csv");
  ASSERT_TRUE(WriteFileDurably(points, csv).ok());
  const auto fit = nlohmann::json::parse(Ok({"degradation", points, "--json"}),
                                         nullptr, false);
  ASSERT_TRUE(fit.is_object());
  EXPECT_NEAR(fit["beta"], 0.5251, 1e-3);
  EXPECT_NEAR(fit["alpha"], 0.2261, 1e-3);
  EXPECT_NEAR(fit["gamma"], 5.4967, 1e-2);
  EXPECT_THAT(Ok({"degradation", points}), HasSubstr("beta"));
  ASSERT_TRUE(WriteFileDurably(points, "bits,wrong\n2,3\n").ok());
  const CommandResult refused = Ctl({"degradation", points});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("no column \"wrong\""));
}

TEST_F(FirstLightTest, MemoryIsForecastReportedAndEnforced) {
  Ok({"models", "add", "demo", DemoModel()});
  const std::vector<std::string> gptq = {
      "quantize",  "demo", "--method",      "gptq",
      "--windows", "16",   "--calibration", DemoModel() + "/calibration.txt",
      "--threads", "1",    "--name",        "small"};
  const auto with = [](std::vector<std::string> args,
                       const std::vector<std::string>& more) {
    args.insert(args.end(), more.begin(), more.end());
    return args;
  };
  const auto dry = nlohmann::json::parse(
      Ok(with(gptq, {"--dry-run", "--json"})), nullptr, false);
  ASSERT_TRUE(dry.is_object());
  const uint64_t peak = dry["forecast"]["peak_memory_bytes"];
  EXPECT_GT(peak, 1u << 20);

  const CommandResult refused = Ctl(with(gptq, {"--memory", "2M"}));
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_THAT(refused.err, HasSubstr("needs at least"));
  EXPECT_THAT(refused.err, HasSubstr("2.00 MiB"));

  Ok(with(gptq, {"--wait"}));
  const auto jobs = nlohmann::json::parse(
      Ok({"jobs", "list", "--limit", "1", "--json"}), nullptr, false);
  ASSERT_TRUE(jobs.is_object());
  const nlohmann::json& metrics = jobs["result"]["metrics"];
  EXPECT_EQ(metrics["forecast_peak_memory_bytes"], peak);
  EXPECT_GT(metrics["peak_anonymous_memory_bytes"], 0);
  const std::string name = jobs["name"];
  EXPECT_THAT(Ok({"jobs", "show", name}), HasSubstr("forecast memory"));

  const auto score = [&](const std::string& order) {
    const auto json = nlohmann::json::parse(
        Ok({"evaluate", "small", "--metric", "ppl/gptq-256", "--text",
            DemoModel() + "/eval.txt", "--max-windows", "12", "--order", order,
            "--wait", "--json"}),
        nullptr, false);
    EXPECT_TRUE(json.is_object());
    return json["perplexity"].get<double>();
  };
  EXPECT_EQ(score("layer-major"), score("batch-major"));
}

TEST_F(FirstLightTest, EqualRequestsMakeEqualArtifacts) {
  Ok({"models", "add", "demo", DemoModel()});
  std::string digests[2];
  for (int i = 0; i < 2; ++i) {
    const std::string name = "copy" + std::to_string(i);
    Ok({"quantize", "demo", "--method", "gptq", "--set", "bits=3",
        "--calibration", DemoModel() + "/calibration.txt", "--windows", "8",
        "--threads", std::to_string(i + 1), "--name", name, "--wait"});
    const auto json = nlohmann::json::parse(
        Ok({"artifacts", "show", name, "--json"}), nullptr, false);
    ASSERT_TRUE(json.is_object());
    digests[i] = json["digest"];
  }
  EXPECT_EQ(digests[0], digests[1]);
}

TEST_F(FirstLightTest, MistakesHaveExitCodesAndNames) {
  Ok({"models", "add", "demo", DemoModel()});
  CommandResult result = Ctl({"models", "show", "nothing"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_THAT(result.err, HasSubstr("nothing"));
  result = Ctl({"quantize", "demo", "--method", "rtn", "--set", "bits=9"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("bits"));
  result = Ctl({"quantize", "demo", "--method", "gptq"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("calibration"));
  result = Ctl({"quantize", "demo", "--method", "rtn", "--set", "group_size=96",
                "--wait"});
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_THAT(result.err, HasSubstr("96 does not divide the 128"));
  result = Ctl({"models", "add", "broken", data_.path()});
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_THAT(result.err, HasSubstr("config.json"));
  EXPECT_EQ(RunQuantctl("127.0.0.1:1", {"--timeout", "2", "models", "list"})
                .exit_code,
            4);
}

TEST_F(FirstLightTest, SecondServerOnTheSameDirectoryIsRefused) {
  const auto second = ServerProcess::Start(data_.File("data"));
  EXPECT_THAT(second, test::StatusIs(absl::StatusCode::kInternal,
                                     HasSubstr(data_.File("data"))));
}

}  // namespace
}  // namespace quantd
