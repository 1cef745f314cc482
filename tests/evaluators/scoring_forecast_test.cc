#include "evaluators/scoring_forecast.h"

#include "gmock/gmock.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

class ScoringForecastTest : public testing::Test {
 protected:
  void SetUp() override {
    test::TinyModelOptions options;
    options.blocks = 40;
    test::TempDir dir;
    test::WriteTinyModel(dir.path(), options);
    ASSERT_OK_AND_ASSIGN(auto checkpoint, Checkpoint::Open(dir.path()));
    ASSERT_OK_AND_ASSIGN(footprint_.description, DescribeModel(*checkpoint));
  }

  ModelFootprint footprint_;
  const ScoringShape shape_ = {
      .windows = 9, .window_tokens = 16, .batch_windows = 4};
};

TEST_F(ScoringForecastTest, LayerMajorHoldsOneBlockAndAllWindows) {
  const RunForecast batch =
      ForecastScoring(footprint_, shape_, ScoringOrder::kBatchMajor);
  const RunForecast layer =
      ForecastScoring(footprint_, shape_, ScoringOrder::kLayerMajor);
  const uint64_t block = FloatBlockBytes(footprint_.description);
  EXPECT_EQ(batch.parts[0].bytes, 40 * block);
  EXPECT_EQ(batch.activation_bytes, 0u);
  EXPECT_EQ(layer.activation_bytes, 9u * 16 * 32 * 4);
  EXPECT_LT(SumOf(layer.parts), SumOf(batch.parts) / 4);
  EXPECT_EQ(layer.work.product_flops, batch.work.product_flops);
  footprint_.compressed_bytes = 1000;
  EXPECT_EQ(ForecastScoring(footprint_, shape_, ScoringOrder::kBatchMajor)
                .parts[0]
                .bytes,
            40 * (block + 1000));
}

TEST_F(ScoringForecastTest, TheOrderIsBatchMajorIfThatFits) {
  const uint64_t needed = SumOf(
      ForecastScoring(footprint_, shape_, ScoringOrder::kBatchMajor).parts);
  const auto order = [&](std::optional<ScoringOrder> wanted, uint64_t limit) {
    return PlanScoring(footprint_, shape_, wanted, limit).order;
  };
  EXPECT_EQ(order(std::nullopt, needed), ScoringOrder::kBatchMajor);
  EXPECT_EQ(order(std::nullopt, needed - 1), ScoringOrder::kLayerMajor);
  EXPECT_EQ(order(ScoringOrder::kBatchMajor, 1), ScoringOrder::kBatchMajor);
  EXPECT_EQ(order(ScoringOrder::kLayerMajor, needed),
            ScoringOrder::kLayerMajor);
}

TEST_F(ScoringForecastTest, ABaselineHoldsItsBlocksButInTurnOnlyOne) {
  ModelFootprint baseline = footprint_;
  baseline.description.blocks = 10;
  ScoringShape shape = shape_;
  shape.baseline = &baseline;
  const uint64_t block = FloatBlockBytes(footprint_.description);
  const uint64_t divergences = 9 * 16 * 16;
  const RunForecast batch =
      ForecastScoring(footprint_, shape, ScoringOrder::kBatchMajor);
  const RunForecast alone =
      ForecastScoring(footprint_, shape_, ScoringOrder::kBatchMajor);
  EXPECT_EQ(batch.parts[0].bytes, 50 * block);
  EXPECT_EQ(batch.parts[1].bytes, 2 * alone.parts[1].bytes);
  EXPECT_EQ(batch.parts.back().bytes, divergences);
  EXPECT_GT(batch.work.product_flops, alone.work.product_flops);
  const RunForecast layer =
      ForecastScoring(footprint_, shape, ScoringOrder::kLayerMajor);
  const RunForecast layer_alone =
      ForecastScoring(footprint_, shape_, ScoringOrder::kLayerMajor);
  EXPECT_EQ(layer.activation_bytes, 2 * layer_alone.activation_bytes);
  // Two heads at the end, but still one block after the other.
  EXPECT_LE(SumOf(layer.parts), 2 * SumOf(layer_alone.parts) + divergences);
  footprint_.compressed_bytes = baseline.compressed_bytes = 1 << 20;
  EXPECT_EQ(ForecastScoring(footprint_, shape, ScoringOrder::kLayerMajor)
                .parts[0]
                .bytes,
            block + (1 << 20));
}

TEST_F(ScoringForecastTest, GenerationHoldsKeysAndValuesOfWhatRunsTogether) {
  GenerationShape shape = {.prompts = 100,
                           .prompt_tokens = 10,
                           .new_tokens = 30,
                           .batch_prompts = 8,
                           .beams = 1};
  const auto cache = [&] {
    for (const MemoryPart& part : ForecastGeneration(footprint_, shape).parts) {
      if (part.name == "keys and values") return part.bytes;
    }
    return uint64_t{0};
  };
  // 40 blocks, 8 prompts, 40 tokens, 2 heads of 8 for keys and for values.
  EXPECT_EQ(cache(), 40u * 8 * 40 * 2 * 2 * 8 * 4);
  shape.beams = 4;
  EXPECT_EQ(cache(), 40u * 4 * 40 * 2 * 2 * 8 * 4);
}

}  // namespace
}  // namespace quantd
