#include "quantizers/stages/rotate.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "gmock/gmock.h"
#include "models/layouts/input_rotation.h"
#include "models/model.h"
#include "models/tokenizer.h"
#include "nlohmann/json.hpp"
#include "proto/field_rules.h"
#include "quantizers/compiled_recipe.h"
#include "quantizers/layer_error.h"
#include "quantizers/recipe.h"
#include "quantizers/recipe_forecast.h"
#include "quantizers/recipe_run.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::RandomMatrix;
using ::quantd::test::StatusIs;
using ::quantd::test::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::map<std::string, std::string> FilesIn(const std::string& directory) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.is_regular_file()) {
      files[entry.path().filename()] = *ReadFile(entry.path());
    }
  }
  return files;
}

class RotateTest : public testing::Test {
 protected:
  void SetUp() override {
    test::WriteTinyModel(model_.path());
    ASSERT_OK_AND_ASSIGN(checkpoint_, Checkpoint::Open(model_.path()));
    ASSERT_OK_AND_ASSIGN(opened_, Model::Open(checkpoint_));
  }

  static std::unique_ptr<Stage> Make(
      const std::vector<std::string>& assignments) {
    v1::Stage stage;
    stage.mutable_rotate();
    FillDefaults(&stage);
    for (const std::string& assignment : assignments) {
      EXPECT_THAT(ApplyAssignment(&stage, assignment), IsOk());
    }
    return NewRotateStage(stage.rotate());
  }

  RecipeRun NewRun(const v1::Recipe& recipe, const std::string& workspace) {
    RecipeRun run;
    run.model = opened_;
    run.recipe = std::make_shared<const CompiledRecipe>(
        *CompiledRecipe::Compile(recipe));
    run.workspace = workspace;
    const auto tokenizer = *LoadTokenizer(model_.path());
    run.calibration =
        *DrawWindows(*tokenizer->Encode(test::TinyText(2000)), 8, 32, 0);
    return run;
  }

  TempDir model_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::shared_ptr<const Model> opened_;
  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(RotateTest, LayersThatWriteToTheStreamAreWorkedOnInARotatedBasis) {
  const auto stage = Make({});
  const Tensor w = RandomMatrix(6, 24, 1);
  const Tensor x = RandomMatrix(100, 24, 2);
  auto statistics = std::make_shared<LayerStatistics>();
  SecondMomentAccumulator moment(24);
  moment.Add(x, 4, ctx_);
  statistics->tokens = 100;
  statistics->second_moment = std::move(moment).Finish();
  statistics->sample = x;
  BlockWork work;
  LayerReport report;
  for (bool writes : {true, false}) {
    LayerWork item;
    item.name = writes ? "writer" : "reader";
    item.writes_residual = writes;
    item.weight = w.Clone();
    item.statistics = statistics;
    item.report = &report;
    work.layers.push_back(item);
  }
  ASSERT_THAT(stage->ProcessBlock(work, ctx_), IsOk());
  const LayerWork& reader = work.layers[1];
  EXPECT_EQ(RelativeWeightError(w, reader.weight), 0);
  EXPECT_EQ(reader.statistics, statistics);
  EXPECT_TRUE(reader.transforms.empty());

  // The product of weight and input is what it was, so is its energy.
  const LayerWork& writer = work.layers[0];
  ASSERT_EQ(writer.transforms.size(), 1u);
  const Tensor& inputs = writer.statistics->sample;
  for (int64_t t = 0; t < 100; ++t) {
    for (int64_t r = 0; r < 6; ++r) {
      double before = 0;
      double after = 0;
      for (int64_t c = 0; c < 24; ++c) {
        before += double{w.row(r)[c]} * x.row(t)[c];
        after += double{writer.weight.row(r)[c]} * inputs.row(t)[c];
      }
      ASSERT_NEAR(before, after, 1e-5);
    }
  }
  SecondMomentAccumulator again(24);
  again.Add(inputs, 4, ctx_);
  const SquareMatrix expected = std::move(again).Finish();
  for (int64_t i = 0; i < 24; ++i) {
    for (int64_t j = 0; j < 24; ++j) {
      ASSERT_NEAR(writer.statistics->second_moment.at(i, j), expected.at(i, j),
                  1e-4);
    }
  }
  // The statistics that others hold are untouched.
  EXPECT_EQ(statistics->sample.data()[0], x.data()[0]);
}

TEST_F(RotateTest, ArtifactsDecodeInTheBasisOfTheirCheckpoint) {
  TempDir workspace;
  ASSERT_OK_AND_ASSIGN(
      const v1::Recipe recipe,
      ResolveRecipe("rotate-gptq", {"bits=8", "range_fit=MIN_MAX"}));
  ASSERT_OK_AND_ASSIGN(const RecipeOutcome outcome,
                       RunRecipe(NewRun(recipe, workspace.path()), ctx_));
  // Eight bits change little, in whatever basis.
  const auto original = opened_;
  const auto compressed =
      *Model::Open(*Checkpoint::Open(outcome.artifact_directory));
  std::vector<int32_t> tokens;
  for (int i = 0; i < 32; ++i) tokens.push_back((i * 91 + 17) % 256);
  const auto batch = SequenceBatch::Uniform(1, 32);
  const auto logits = [&](const Model& model) {
    Tensor hidden = *model.Embed(tokens, batch, ctx_);
    for (int k = 0; k < model.block_count(); ++k) {
      const auto block = *model.LoadBlock(k, ctx_);
      hidden = *block->Forward(hidden, batch, ctx_);
    }
    return *model.Logits(hidden, ctx_);
  };
  EXPECT_LT(RelativeWeightError(logits(*original), logits(*compressed)), 1e-3);
  int rotated = 0;
  for (int k = 0; k < compressed->block_count(); ++k) {
    const auto block = *compressed->LoadBlock(k, ctx_);
    for (const Linear& layer : block->linears()) {
      const bool is = layer.compressed()->layout() == kInputRotationLayout;
      EXPECT_EQ(is, layer.writes_residual()) << layer.name();
      rotated += is ? 1 : 0;
    }
  }
  EXPECT_EQ(rotated, 4);
}

TEST_F(RotateTest, InterruptedRunsGoOnToTheSameBytes) {
  ASSERT_OK_AND_ASSIGN(const v1::Recipe recipe,
                       ResolveRecipe("rsq", {"least=0.05"}));
  TempDir whole, cut;
  ASSERT_OK_AND_ASSIGN(const RecipeOutcome expected,
                       RunRecipe(NewRun(recipe, whole.path()), ctx_));
  ASSERT_THAT(RunRecipe(NewRun(recipe, cut.path()), ctx_), IsOk());
  // As if it had ended while block 1 was worked on.
  std::filesystem::remove(cut.path() + "/blocks/00001.json");
  std::filesystem::remove(cut.path() + "/artifact/config.json");
  const auto device = NewCpuDevice(1);
  ExecutionContext one(device.get());
  ASSERT_OK_AND_ASSIGN(const RecipeOutcome resumed,
                       RunRecipe(NewRun(recipe, cut.path()), one));
  EXPECT_EQ(resumed.resumed_blocks, 1);
  EXPECT_EQ(FilesIn(expected.artifact_directory),
            FilesIn(resumed.artifact_directory));
  // As if it had ended while the checkpoint was rotated.
  std::filesystem::remove(cut.path() + "/transformed.complete");
  std::filesystem::remove(cut.path() +
                          "/transformed/model-00001-of-00003.safetensors");
  std::filesystem::remove(cut.path() + "/blocks/00000.json");
  ASSERT_OK_AND_ASSIGN(const RecipeOutcome again,
                       RunRecipe(NewRun(recipe, cut.path()), ctx_));
  EXPECT_EQ(FilesIn(expected.artifact_directory),
            FilesIn(again.artifact_directory));
}

TEST_F(RotateTest, ForecastCountsTheRotatedCheckpoint) {
  ASSERT_OK_AND_ASSIGN(const v1::Recipe recipe, ResolveRecipe("rsq", {}));
  const auto compiled = *CompiledRecipe::Compile(recipe);
  const ModelFootprint footprint =
      FootprintOf(*checkpoint_, opened_->description());
  const RunForecast forecast = ForecastRecipe(compiled, footprint, {8, 32});
  TempDir workspace;
  ASSERT_OK_AND_ASSIGN(const RecipeOutcome outcome,
                       RunRecipe(NewRun(recipe, workspace.path()), ctx_));
  uint64_t transformed = 0;
  for (const auto& [name, bytes] : FilesIn(workspace.path() + "/transformed")) {
    if (name.find(".safetensors") != std::string::npos &&
        name.find(".json") == std::string::npos) {
      transformed += bytes.size();
    }
  }
  EXPECT_NEAR(static_cast<double>(forecast.scratch_bytes),
              static_cast<double>(transformed), 10e3);
  uint64_t artifact = 0;
  for (const auto& [name, bytes] : FilesIn(outcome.artifact_directory)) {
    artifact += bytes.size();
  }
  EXPECT_NEAR(static_cast<double>(forecast.output_bytes),
              static_cast<double>(artifact), 30e3);
}

TEST_F(RotateTest, NetworksThatCannotBeRotatedAreRefusedBeforeTheRun) {
  const std::string gpt2 = SharedPath("fixtures/gpt2");
  if (!std::filesystem::exists(gpt2)) GTEST_SKIP();
  const auto model = *Model::Open(*Checkpoint::Open(gpt2));
  const auto compiled =
      *CompiledRecipe::Compile(*ResolveRecipe("rotate-gptq", {}));
  EXPECT_THAT(compiled.CheckFits(model->description()),
              StatusIs(kInvalid, AllOf(HasSubstr("rotate"), HasSubstr("gpt2"),
                                       HasSubstr("LayerNorm"))));
  // The inputs of single layers can still be rotated.
  const auto inner = *CompiledRecipe::Compile(
      *ResolveRecipe("rotate-gptq", {"residual=false"}));
  EXPECT_THAT(inner.CheckFits(model->description()), IsOk());
  EXPECT_EQ(inner.checkpoint_transform(), nullptr);
}

TEST_F(RotateTest, RulesCannotRotatePartOfANetwork) {
  v1::Recipe recipe = *ResolveRecipe("rsq", {});
  v1::LayerRule& rule = *recipe.add_layer_rules();
  rule.set_pattern(".*down_proj");
  rule.add_set("bits=4");
  EXPECT_THAT(CompiledRecipe::Compile(recipe), IsOk());
  rule.add_set("rotate.seed=3");
  EXPECT_THAT(
      CompiledRecipe::Compile(recipe),
      StatusIs(kInvalid, AllOf(HasSubstr("layer_rules[0]"), HasSubstr("rotate"),
                               HasSubstr("whole network"))));
  rule.clear_set();
  rule.add_set("least=0.1");
  EXPECT_THAT(CompiledRecipe::Compile(recipe),
              StatusIs(kInvalid, HasSubstr("token_importance")));
}

}  // namespace
}  // namespace quantd
