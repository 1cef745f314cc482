#include "quantizers/recipe_run.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/file.h"
#include "gmock/gmock.h"
#include "models/model.h"
#include "models/tokenizer.h"
#include "nlohmann/json.hpp"
#include "quantizers/recipe.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::StatusIs;
using ::quantd::test::TempDir;
using ::testing::_;
using ::testing::HasSubstr;

std::map<std::string, std::string> FilesIn(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    files[entry.path().filename()] = *ReadFile(entry.path());
  }
  return files;
}

class RecipeRunTest : public testing::Test {
 protected:
  void SetUp() override {
    test::WriteTinyModel(model_.path());
    ASSERT_OK_AND_ASSIGN(checkpoint_, Checkpoint::Open(model_.path()));
    ASSERT_OK_AND_ASSIGN(opened_, Model::Open(checkpoint_));
  }

  static std::shared_ptr<const CompiledRecipe> Compiled(
      const v1::Recipe& recipe) {
    return std::make_shared<const CompiledRecipe>(
        *CompiledRecipe::Compile(recipe));
  }

  // `run` with one more rule at the end of its recipe.
  static void AddRule(RecipeRun* run, const std::string& pattern,
                      const std::string& assignment) {
    v1::Recipe recipe = run->recipe->source();
    v1::LayerRule& rule = *recipe.add_layer_rules();
    rule.set_pattern(pattern);
    if (assignment.empty()) {
      rule.set_keep_float(true);
    } else {
      rule.add_set(assignment);
    }
    run->recipe = Compiled(recipe);
  }

  RecipeRun NewRun(const std::string& method,
                   const std::vector<std::string>& assignments,
                   const std::string& workspace) {
    RecipeRun run;
    run.model = opened_;
    run.recipe = Compiled(*ResolveRecipe(method, assignments));
    run.provenance.source_name = "models/tiny";
    run.provenance.source_digest = checkpoint_->header_digest();
    run.workspace = workspace;
    if (run.recipe->needs().any()) {
      const auto tokenizer = *LoadTokenizer(model_.path());
      run.calibration =
          *DrawWindows(*tokenizer->Encode(test::TinyText(2000)), 10, 32, 0);
    }
    return run;
  }

  // What makes a built-in recipe fit the model's 32 input channels, and takes
  // few steps where one descends.
  static std::vector<std::string> Fitting(const std::string& method) {
    std::vector<std::string> assignments;
    for (const char* assignment :
         {"group_size=8", "steps=6", "tune.steps=6", "distill.steps=6"}) {
      if (ResolveRecipe(method, {assignment}).ok()) {
        assignments.emplace_back(assignment);
      }
    }
    return assignments;
  }

  absl::StatusOr<RecipeOutcome> Execute(const RecipeRun& run, int threads = 2) {
    const auto device = NewCpuDevice(threads);
    ExecutionContext ctx(device.get());
    return RunRecipe(run, ctx);
  }

  TempDir model_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::shared_ptr<const Model> opened_;
};

TEST_F(RecipeRunTest, ArtifactIsACheckpointThatLoadsAndAddsUp) {
  TempDir workspace;
  ASSERT_OK_AND_ASSIGN(
      const RecipeOutcome outcome,
      Execute(NewRun("gptq", {"bits=3", "group_size=16"}, workspace.path())));
  EXPECT_EQ(outcome.layers.size(), 14u);
  EXPECT_EQ(outcome.resumed_blocks, 0);
  EXPECT_NEAR(outcome.bits_per_weight, 3 + 19.0 / 16, 0.01);

  ASSERT_OK_AND_ASSIGN(auto compressed,
                       Checkpoint::Open(outcome.artifact_directory));
  ASSERT_OK_AND_ASSIGN(const auto model, Model::Open(compressed));
  const auto device = NewCpuDevice(1);
  ExecutionContext ctx(device.get());
  uint64_t bits = 0;
  for (int k = 0; k < model->block_count(); ++k) {
    ASSERT_OK_AND_ASSIGN(const auto block, model->LoadBlock(k, ctx));
    for (const Linear& layer : block->linears()) {
      ASSERT_NE(layer.compressed(), nullptr) << layer.name();
      bits += layer.compressed()->stored_bits();
    }
  }
  // The figure reported is the bytes of the tensors written, no more.
  uint64_t tensor_bits = 0;
  const std::set<std::string> parts = {"codes", "scales", "zeros",
                                       "group_index"};
  for (const auto& [name, tensor] : compressed->tensors()) {
    if (parts.count(name.substr(name.rfind('.') + 1)) > 0) {
      tensor_bits += 8 * tensor->bytes.size();
    }
  }
  EXPECT_EQ(bits, tensor_bits);
  EXPECT_NEAR(outcome.bits_per_weight,
              static_cast<double>(bits) /
                  static_cast<double>(outcome.compressed_weights),
              1e-12);
  EXPECT_THAT(LoadTokenizer(outcome.artifact_directory), IsOk());
  const auto summary =
      nlohmann::json::parse(FilesIn(outcome.artifact_directory)["quantd.json"]);
  EXPECT_EQ(summary["recipe"]["stages"][0]["gptq"]["grid"]["affine"]["bits"],
            3);
  EXPECT_EQ(summary["calibration"]["windows"], 10);
  EXPECT_EQ(summary["layers"].size(), 14u);
  EXPECT_GT(summary["layers"][0]["output_error"], 0);
}

TEST_F(RecipeRunTest, EqualRequestsGiveEqualBytesWhateverTheThreads) {
  for (const v1::Recipe& recipe : BuiltinRecipes()) {
    SCOPED_TRACE(recipe.name());
    const std::vector<std::string> set = Fitting(recipe.name());
    TempDir a, b;
    ASSERT_OK_AND_ASSIGN(const auto first,
                         Execute(NewRun(recipe.name(), set, a.path()), 1));
    ASSERT_OK_AND_ASSIGN(const auto second,
                         Execute(NewRun(recipe.name(), set, b.path()), 2));
    EXPECT_EQ(FilesIn(first.artifact_directory),
              FilesIn(second.artifact_directory));
  }
}

TEST_F(RecipeRunTest, SpilledActivationsGiveTheSameBytes) {
  for (const char* sequential :
       {"true_sequential=true", "true_sequential=false"}) {
    TempDir in_memory;
    ASSERT_OK_AND_ASSIGN(const auto expected,
                         Execute(NewRun("gptq", {"group_size=8", sequential},
                                        in_memory.path())));
    EXPECT_EQ(expected.spilled_bytes, 0u);
    const uint64_t all = 10 * 32 * 32 * sizeof(float);
    for (const uint64_t memory : {uint64_t{0}, all / 3}) {
      TempDir workspace;
      RecipeRun run =
          NewRun("gptq", {"group_size=8", sequential}, workspace.path());
      run.activation_memory_bytes = memory;
      ASSERT_OK_AND_ASSIGN(const auto spilled, Execute(run, 1));
      EXPECT_GE(spilled.spilled_bytes, all - memory);
      EXPECT_EQ(FilesIn(spilled.artifact_directory),
                FilesIn(expected.artifact_directory));
    }
  }
}

TEST_F(RecipeRunTest, ResumedRunIsByteIdenticalAfterAnyBlock) {
  for (const v1::Recipe& recipe : BuiltinRecipes()) {
    SCOPED_TRACE(recipe.name());
    const std::vector<std::string> set = Fitting(recipe.name());
    TempDir whole;
    ASSERT_OK_AND_ASSIGN(const auto expected,
                         Execute(NewRun(recipe.name(), set, whole.path())));
    for (int stop_after : {1, 2}) {
      TempDir workspace;
      const RecipeRun run = NewRun(recipe.name(), set, workspace.path());
      // Cancels when the note of a written block comes.
      {
        const auto device = NewCpuDevice(2);
        ExecutionContext ctx(device.get());
        int written = 0;
        ctx.set_note_sink([&](absl::string_view note) {
          if (note.find("written") != absl::string_view::npos &&
              ++written == stop_after) {
            ctx.RequestCancel();
          }
        });
        const auto interrupted = RunRecipe(run, ctx);
        if (stop_after == 1) {
          EXPECT_THAT(interrupted, StatusIs(absl::StatusCode::kCancelled, _));
        }
      }
      ASSERT_OK_AND_ASSIGN(const auto resumed, Execute(run));
      EXPECT_EQ(resumed.resumed_blocks, stop_after);
      EXPECT_EQ(FilesIn(resumed.artifact_directory),
                FilesIn(expected.artifact_directory));
    }
  }
}

// Stopped in the middle of the last block's steps, and of the network's.
TEST_F(RecipeRunTest, ResumedRunIsByteIdenticalAfterAnyStep) {
  int stopped = 0;
  for (const v1::Recipe& recipe : BuiltinRecipes()) {
    SCOPED_TRACE(recipe.name());
    std::vector<std::string> phases;
    for (const v1::Stage& stage : recipe.stages()) {
      if (stage.has_tune()) phases.emplace_back("tune");
      if (stage.has_distill()) phases.emplace_back("distill");
    }
    if (phases.empty()) continue;
    const std::vector<std::string> set = Fitting(recipe.name());
    TempDir whole;
    ASSERT_OK_AND_ASSIGN(const auto expected,
                         Execute(NewRun(recipe.name(), set, whole.path())));
    for (const std::string& phase : phases) {
      SCOPED_TRACE(phase);
      TempDir workspace;
      const RecipeRun run = NewRun(recipe.name(), set, workspace.path());
      const bool of_block = phase == "tune";
      {
        const auto device = NewCpuDevice(2);
        ExecutionContext ctx(device.get());
        ctx.set_progress_sink([&](const ProgressUpdate& update) {
          if (update.phase != phase || (of_block && update.done == 0)) return;
          if (update.training->step == 3) ctx.RequestCancel();
        });
        EXPECT_THAT(RunRecipe(run, ctx),
                    StatusIs(absl::StatusCode::kCancelled, _));
      }
      ASSERT_OK_AND_ASSIGN(const auto resumed, Execute(run, 1));
      EXPECT_EQ(resumed.resumed_blocks, of_block ? 1 : 2);
      EXPECT_EQ(FilesIn(resumed.artifact_directory),
                FilesIn(expected.artifact_directory));
      ++stopped;
    }
  }
  EXPECT_GE(stopped, 10);
}

TEST_F(RecipeRunTest, SurveysAreKeptWithTheWorkspaceAndTheArtifact) {
  TempDir whole, workspace;
  ASSERT_OK_AND_ASSIGN(const auto expected,
                       Execute(NewRun("nupes", {}, whole.path()), 1));
  const auto summary = nlohmann::json::parse(
      FilesIn(expected.artifact_directory)["quantd.json"]);
  ASSERT_EQ(summary["surveys"].size(), 1u);
  EXPECT_EQ(summary["surveys"][0]["stage"], "power_exponent");
  EXPECT_EQ(summary["surveys"][0]["layers"], 14);
  const double exponent = summary["surveys"][0]["found"]["exponent"];
  EXPECT_GT(exponent, 0.2);
  EXPECT_LT(exponent, 1.0);

  // Cut off after the survey, and then after a block.
  const RecipeRun run = NewRun("nupes", {}, workspace.path());
  for (const char* until : {"quantize", "write"}) {
    const auto device = NewCpuDevice(4);
    ExecutionContext ctx(device.get());
    int surveyed = 0;
    double fraction = 0;
    ctx.set_progress_sink([&](const ProgressUpdate& update) {
      EXPECT_GE(update.fraction, fraction);
      fraction = update.fraction;
      if (update.phase == "survey") {
        EXPECT_LT(update.done, update.total);
        ++surveyed;
      }
      if (update.phase == until) ctx.RequestCancel();
    });
    EXPECT_THAT(RunRecipe(run, ctx), StatusIs(absl::StatusCode::kCancelled, _));
    EXPECT_EQ(surveyed, until == std::string("quantize") ? 16 * 14 : 0);
  }
  ASSERT_OK_AND_ASSIGN(const auto resumed, Execute(run));
  EXPECT_EQ(resumed.resumed_blocks, 1);
  EXPECT_EQ(FilesIn(resumed.artifact_directory),
            FilesIn(expected.artifact_directory));
  // What cannot have been found is looked for again.
  ASSERT_THAT(WriteFileDurably(workspace.path() + "/blocks/survey-00000.json",
                               "{\"exponent\": 7}"),
              IsOk());
  ASSERT_OK_AND_ASSIGN(const auto again, Execute(run));
  EXPECT_EQ(FilesIn(again.artifact_directory),
            FilesIn(expected.artifact_directory));
}

TEST_F(RecipeRunTest, SurveysAreCancelledBetweenLayers) {
  TempDir workspace;
  const auto device = NewCpuDevice(1);
  ExecutionContext ctx(device.get());
  int surveyed = 0;
  ctx.set_progress_sink([&](const ProgressUpdate& update) {
    if (update.phase == "survey" && ++surveyed == 5) ctx.RequestCancel();
  });
  EXPECT_THAT(RunRecipe(NewRun("nupes", {}, workspace.path()), ctx),
              StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_EQ(surveyed, 5);
}

TEST_F(RecipeRunTest, SurveysSeeTheLayersOfTheirRule) {
  TempDir workspace;
  RecipeRun run = NewRun("nupes", {}, workspace.path());
  AddRule(&run, "model\\.layers\\.0\\..*", "");
  AddRule(&run, ".*down_proj", "bits=8");
  ASSERT_OK_AND_ASSIGN(const auto outcome, Execute(run));
  const auto summary =
      nlohmann::json::parse(FilesIn(outcome.artifact_directory)["quantd.json"]);
  ASSERT_EQ(summary["surveys"].size(), 2u);
  EXPECT_EQ(summary["surveys"][0]["layers"], 6);
  EXPECT_EQ(summary["surveys"][1]["layers"], 1);
}

TEST_F(RecipeRunTest, EveryBuiltinRecipeOfGridsMakesAnArtifactThatLoads) {
  for (const char* method :
       {"fp6", "fp6-gptq", "fp4", "nf4", "nupes", "hqq", "finequant"}) {
    TempDir workspace;
    ASSERT_OK_AND_ASSIGN(
        const auto outcome,
        Execute(NewRun(method, {"group_size=16"}, workspace.path())));
    ASSERT_OK_AND_ASSIGN(auto compressed,
                         Checkpoint::Open(outcome.artifact_directory));
    ASSERT_OK_AND_ASSIGN(const auto model, Model::Open(compressed));
    const auto device = NewCpuDevice(1);
    ExecutionContext ctx(device.get());
    uint64_t bits = 0;
    for (int k = 0; k < model->block_count(); ++k) {
      ASSERT_OK_AND_ASSIGN(const auto block, model->LoadBlock(k, ctx));
      for (const Linear& layer : block->linears()) {
        bits += layer.compressed()->stored_bits();
      }
    }
    EXPECT_NEAR(outcome.bits_per_weight,
                static_cast<double>(bits) /
                    static_cast<double>(outcome.compressed_weights),
                1e-12)
        << method;
  }
}

TEST_F(RecipeRunTest, ExpertsThatNoTokenReachesAreRoundedWithANote) {
  test::TinyModelOptions options;
  options.experts = 3;
  TempDir mixtral;
  test::WriteTinyModel(mixtral.path(), options);
  ASSERT_OK_AND_ASSIGN(checkpoint_, Checkpoint::Open(mixtral.path()));
  ASSERT_OK_AND_ASSIGN(opened_, Model::Open(checkpoint_));
  for (const char* sequential :
       {"true_sequential=true", "true_sequential=false"}) {
    TempDir workspace, again;
    const std::vector<std::string> set = {"group_size=16", sequential};
    const auto device = NewCpuDevice(2);
    ExecutionContext ctx(device.get());
    std::vector<std::string> notes;
    ctx.set_note_sink(
        [&](absl::string_view note) { notes.emplace_back(note); });
    ASSERT_OK_AND_ASSIGN(const auto outcome,
                         RunRecipe(NewRun("gptq", set, workspace.path()), ctx));
    for (const LayerReport& report : outcome.layers) {
      const bool unseen = report.layer.find("experts.2.") != std::string::npos;
      EXPECT_EQ(report.damping < 0, unseen) << report.layer;
      EXPECT_EQ(report.output_error < 0, unseen) << report.layer;
      EXPECT_LT(report.weight_error, 0.05) << report.layer;
      EXPECT_EQ(std::count(notes.begin(), notes.end(),
                           report.layer + ": no calibration token reached it; "
                                          "rounded to nearest"),
                unseen ? 1 : 0);
    }
    ASSERT_OK_AND_ASSIGN(const auto same,
                         Execute(NewRun("gptq", set, again.path()), 1));
    EXPECT_EQ(FilesIn(same.artifact_directory),
              FilesIn(outcome.artifact_directory));
  }
}

TEST_F(RecipeRunTest, DamagedShardIsComputedAgain) {
  TempDir workspace;
  const RecipeRun run = NewRun("rtn", {"group_size=16"}, workspace.path());
  ASSERT_OK_AND_ASSIGN(const auto first, Execute(run));
  const auto expected = FilesIn(first.artifact_directory);
  const std::string shard =
      first.artifact_directory + "/model-00001-of-00003.safetensors";
  std::string bytes = *ReadFile(shard);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  ASSERT_THAT(WriteFileDurably(shard, bytes), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto second, Execute(run));
  EXPECT_EQ(second.resumed_blocks, 1);
  EXPECT_EQ(FilesIn(second.artifact_directory), expected);
}

TEST_F(RecipeRunTest, WorkspaceOfAnotherPlanIsNotReused) {
  TempDir workspace;
  ASSERT_THAT(Execute(NewRun("rtn", {"bits=4"}, workspace.path())),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("64 does not divide the 32")));
  ASSERT_THAT(
      Execute(NewRun("rtn", {"bits=4", "group_size=16"}, workspace.path())),
      IsOk());
  ASSERT_OK_AND_ASSIGN(
      const auto other,
      Execute(NewRun("rtn", {"bits=3", "group_size=16"}, workspace.path())));
  EXPECT_EQ(other.resumed_blocks, 0);
  EXPECT_NEAR(other.bits_per_weight, 3 + 19.0 / 16, 0.01);
}

TEST_F(RecipeRunTest, LayerRulesKeepFloatAndChangeBits) {
  TempDir workspace;
  RecipeRun run = NewRun("rtn", {"group_size=16"}, workspace.path());
  AddRule(&run, "model\\.layers\\.0\\..*", "");
  AddRule(&run, ".*down_proj", "bits=8");
  ASSERT_OK_AND_ASSIGN(const auto outcome, Execute(run));
  EXPECT_EQ(outcome.layers.size(), 7u);
  ASSERT_OK_AND_ASSIGN(auto compressed,
                       Checkpoint::Open(outcome.artifact_directory));
  EXPECT_TRUE(compressed->Has("model.layers.0.mlp.up_proj.weight"));
  EXPECT_TRUE(compressed->Has("model.layers.1.mlp.up_proj.codes"));
  for (const LayerReport& report : outcome.layers) {
    const bool down = report.layer.find("down_proj") != std::string::npos;
    EXPECT_NEAR(report.bits_per_weight, down ? 9.5 : 5.25, 0.01);
  }
}

TEST_F(RecipeRunTest, SalienceMovesBitsAndKeepsTheirAverage) {
  TempDir workspace;
  ASSERT_OK_AND_ASSIGN(const auto outcome,
                       Execute(NewRun("slim-llm", {"bits=3", "group_size=4"},
                                      workspace.path())));
  ASSERT_OK_AND_ASSIGN(auto compressed,
                       Checkpoint::Open(outcome.artifact_directory));
  int mixed = 0;
  for (const auto& [name, tensor] : compressed->tensors()) {
    if (name.substr(name.rfind('.') + 1) != "widths") continue;
    ++mixed;
    // bits - 1 in 3 bits each.
    const bool down = name.find("down_proj") != std::string::npos;
    const size_t groups = down ? 16 : 8;
    int sum = 0;
    for (size_t g = 0; g < groups; ++g) {
      for (size_t b = 0; b < 3; ++b) {
        const size_t bit = 3 * g + b;
        const auto byte = static_cast<uint8_t>(tensor->bytes[bit / 8]);
        sum += ((byte >> (bit % 8)) & 1) << b;
      }
      sum += 1;
    }
    EXPECT_EQ(sum, 3 * static_cast<int>(groups)) << name;
  }
  EXPECT_GT(mixed, 0);
  EXPECT_NEAR(outcome.bits_per_weight, 3 + 19.0 / 4, 0.05);
}

TEST_F(RecipeRunTest, CompressedSourceAndRecipeWithoutWorkAreRefused) {
  TempDir workspace, again;
  ASSERT_OK_AND_ASSIGN(
      const auto outcome,
      Execute(NewRun("rtn", {"group_size=16"}, workspace.path())));
  RecipeRun run = NewRun("rtn", {"group_size=16"}, again.path());
  ASSERT_OK_AND_ASSIGN(const auto compressed,
                       Checkpoint::Open(outcome.artifact_directory));
  ASSERT_OK_AND_ASSIGN(run.model, Model::Open(compressed));
  EXPECT_THAT(Execute(run), StatusIs(absl::StatusCode::kInvalidArgument,
                                     HasSubstr("compressed already")));
  run = NewRun("rtn", {"group_size=16"}, again.path());
  AddRule(&run, ".*", "");
  EXPECT_THAT(Execute(run), StatusIs(absl::StatusCode::kInvalidArgument,
                                     HasSubstr("every layer")));
}

// One calibration pass serves several recipes, and changes no byte of them.
TEST_F(RecipeRunTest, StatisticsOfTheOriginalNetworkAreShared) {
  TempDir statistics;
  const auto run_with = [&](const std::string& method,
                            const std::vector<std::string>& set, bool shared,
                            RecipeOutcome* outcome) {
    TempDir workspace;
    RecipeRun run = NewRun(method, set, workspace.path());
    if (shared) {
      run.statistics_directory = statistics.path();
      run.statistics_bytes = 1 << 24;
    }
    absl::StatusOr<RecipeOutcome> result = Execute(run);
    EXPECT_THAT(result, IsOk());
    if (!result.ok()) return std::map<std::string, std::string>();
    *outcome = *result;
    return FilesIn(result->artifact_directory);
  };
  const std::vector<std::string> three = {"bits=3", "group_size=16",
                                          "calibration_inputs=ORIGINAL"};
  const std::vector<std::string> two = {"bits=2", "group_size=16",
                                        "act_order=false",
                                        "calibration_inputs=ORIGINAL"};
  RecipeOutcome outcome;
  const auto alone3 = run_with("gptq", three, false, &outcome);
  const auto alone2 = run_with("gptq", two, false, &outcome);
  EXPECT_EQ(outcome.reused_statistics, 0);
  EXPECT_EQ(run_with("gptq", three, true, &outcome), alone3);
  EXPECT_EQ(outcome.reused_statistics, 0);
  EXPECT_EQ(run_with("gptq", two, true, &outcome), alone2);
  EXPECT_EQ(outcome.reused_statistics, 8) << "4 sets of 2 blocks";
  // What a layer sees behind compressed ones is another matter, but nothing is
  // in front of the first set.
  const std::vector<std::string> sequential = {"bits=3", "group_size=16"};
  const auto alone = run_with("gptq", sequential, false, &outcome);
  EXPECT_NE(alone, alone3);
  EXPECT_EQ(run_with("gptq", sequential, true, &outcome), alone);
  EXPECT_EQ(outcome.reused_statistics, 1);
}

}  // namespace
}  // namespace quantd
