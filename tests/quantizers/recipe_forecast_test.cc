#include "quantizers/recipe_forecast.h"

#include <filesystem>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "models/tokenizer.h"
#include "quantizers/recipe.h"
#include "quantizers/recipe_run.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::TempDir;

class RecipeForecastTest : public testing::Test {
 protected:
  void SetUp() override {
    test::TinyModelOptions options;
    options.hidden = 128;
    options.intermediate = 320;
    options.dtype = DType::kBF16;
    test::WriteTinyModel(model_.path(), options);
    ASSERT_OK_AND_ASSIGN(checkpoint_, Checkpoint::Open(model_.path()));
    ASSERT_OK_AND_ASSIGN(opened_, Model::Open(checkpoint_));
    footprint_ = FootprintOf(*checkpoint_, opened_->description());
  }

  static CompiledRecipe Compile(const std::string& method,
                                const std::vector<std::string>& assignments,
                                const std::string& keep = "") {
    v1::Recipe recipe = *ResolveRecipe(method, assignments);
    if (!keep.empty()) {
      v1::LayerRule& rule = *recipe.add_layer_rules();
      rule.set_pattern(keep);
      rule.set_keep_float(true);
    }
    return *CompiledRecipe::Compile(recipe);
  }

  // Bytes of the artifact that the recipe really makes.
  uint64_t ArtifactBytes(CompiledRecipe recipe, int64_t windows) {
    TempDir workspace;
    RecipeRun run;
    run.model = opened_;
    run.recipe = std::make_shared<const CompiledRecipe>(std::move(recipe));
    run.workspace = workspace.path();
    const auto tokenizer = *LoadTokenizer(model_.path());
    run.calibration =
        *DrawWindows(*tokenizer->Encode(test::TinyText(500)), windows, 16, 0);
    const auto device = NewCpuDevice(2);
    ExecutionContext ctx(device.get());
    const auto outcome = RunRecipe(run, ctx);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    uint64_t bytes = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(workspace.path() + "/artifact")) {
      bytes += entry.file_size();
    }
    return bytes;
  }

  TempDir model_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::shared_ptr<const Model> opened_;
  ModelFootprint footprint_;
};

TEST_F(RecipeForecastTest, OutputSizeIsThatOfTheArtifact) {
  for (const char* keep : {"", ".*down_proj"}) {
    for (const char* method : {"rtn", "gptq"}) {
      const auto forecast = ForecastRecipe(
          Compile(method, {"group_size=32"}, keep), footprint_, {4, 16});
      const uint64_t real =
          ArtifactBytes(Compile(method, {"group_size=32"}, keep), 4);
      // What is allowed for are headers, which weigh much in a tiny model.
      EXPECT_NEAR(static_cast<double>(forecast.output_bytes),
                  static_cast<double>(real), 24e3)
          << method << keep;
    }
  }
}

TEST_F(RecipeForecastTest, OneLayerIsHeldWithoutCalibrationAndABlockWithIt) {
  const RunForecast rtn =
      ForecastRecipe(Compile("rtn", {"group_size=32"}), footprint_, {});
  const uint64_t largest = 4 * 128 * 320;
  EXPECT_EQ(rtn.activation_bytes, 0u);
  EXPECT_GT(SumOf(rtn.parts), 2 * largest);
  EXPECT_LT(SumOf(rtn.parts), 3 * largest);

  const RunForecast gptq =
      ForecastRecipe(Compile("gptq", {"group_size=32"}), footprint_, {100, 64});
  EXPECT_EQ(gptq.activation_bytes, 100u * 64 * 128 * 4);
  EXPECT_EQ(gptq.batch_bytes, 2048u * 128 * 4);
  EXPECT_EQ(gptq.parts[0].bytes, FloatBlockBytes(footprint_.description));
  // All sets at once need more than one after the other.
  const RunForecast at_once = ForecastRecipe(
      Compile("gptq", {"group_size=32", "true_sequential=false"}), footprint_,
      {100, 64});
  EXPECT_GT(SumOf(at_once.parts), SumOf(gptq.parts));
  EXPECT_GT(gptq.work.product_flops, rtn.work.product_flops);
  EXPECT_GT(gptq.work.factor_flops, 0);
  EXPECT_EQ(rtn.work.factor_flops, 0);
}

TEST_F(RecipeForecastTest, CompressedBlockBytesAreThoseOfTheLargestBlock) {
  const uint64_t all = CompressedBlockBytes(Compile("rtn", {"group_size=32"}),
                                            footprint_.description);
  EXPECT_EQ(CompressedBlockBytes(
                Compile("rtn", {"group_size=32"}, "model\\.layers\\.0\\..*"),
                footprint_.description),
            all);
  EXPECT_LT(
      CompressedBlockBytes(Compile("rtn", {"group_size=32"}, ".*down_proj"),
                           footprint_.description),
      all);
}

}  // namespace
}  // namespace quantd
