#include "models/model_footprint.h"

#include <memory>

#include "gmock/gmock.h"
#include "models/model.h"
#include "models/run_forecast.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::TempDir;

TEST(ModelFootprintTest, SizesAreThoseOfTheLoadedBlockAndTheFiles) {
  for (const int experts : {0, 3}) {
    TempDir dir;
    test::TinyModelOptions options;
    options.dtype = DType::kBF16;
    options.experts = experts;
    test::WriteTinyModel(dir.path(), options);
    ASSERT_OK_AND_ASSIGN(auto checkpoint, Checkpoint::Open(dir.path()));
    ASSERT_OK_AND_ASSIGN(const auto model, Model::Open(checkpoint));
    const ModelFootprint footprint =
        FootprintOf(*checkpoint, model->description());
    const auto device = NewCpuDevice(1);
    ExecutionContext ctx(device.get());
    ASSERT_OK_AND_ASSIGN(const auto block, model->LoadBlock(0, ctx));
    uint64_t linear = 0;
    for (const Linear& layer : block->linears()) {
      linear += static_cast<uint64_t>(layer.weight().size());
    }
    uint64_t others = 0;
    for (const std::string& name : block->OtherTensors()) {
      others += (*checkpoint->Find(name))->bytes.size();
    }
    EXPECT_EQ(footprint.weight_bytes, 2u);
    EXPECT_EQ(footprint.other_bytes, others);
    EXPECT_EQ(footprint.compressed_bytes, 0u);
    EXPECT_EQ(FloatBlockBytes(model->description()), 4 * linear + 2 * others);
    EXPECT_EQ(FloatHeadBytes(model->description()), 256u * 32 * 4);
    // Every stored tensor is in one of the groups.
    EXPECT_EQ(footprint.outer_bytes + 2 * (others + 2 * linear),
              checkpoint->tensor_bytes());
    EXPECT_GT(footprint.tokenizer_bytes, 1000u);
    EXPECT_EQ(footprint.companion_bytes, footprint.tokenizer_bytes);
  }
}

TEST(ModelFootprintTest, WorkAndMemoryGrowWithTheTokens) {
  TempDir dir;
  test::WriteTinyModel(dir.path());
  ASSERT_OK_AND_ASSIGN(auto checkpoint, Checkpoint::Open(dir.path()));
  ASSERT_OK_AND_ASSIGN(const ModelDescription d, DescribeModel(*checkpoint));
  EXPECT_EQ(ForwardBytes(d, 20), 2 * ForwardBytes(d, 10));
  // Three inputs and the three factors of the feed-forward part.
  EXPECT_EQ(ForwardBytes(d, 1), 4u * (3 * 32 + 3 * 64));
  EXPECT_GT(ForwardFlops(d, 64), ForwardFlops(d, 8));
}

RunForecast RunOf(uint64_t fixed, uint64_t activations, uint64_t batch) {
  RunForecast run;
  run.parts = {{"a", fixed / 2}, {"b", fixed - fixed / 2}};
  run.activation_bytes = activations;
  run.batch_bytes = batch;
  return run;
}

TEST(PlacementTest, ActivationsStayInMemoryAsFarAsTheyFit) {
  const Placement all = Place(RunOf(100, 50, 10), 150);
  EXPECT_EQ(all.peak_bytes, 150u);
  EXPECT_EQ(all.activation_memory_bytes, 50u);
  EXPECT_EQ(all.spilled_bytes, 0u);
  EXPECT_EQ(all.least_bytes, 110u);

  // A batch is read back into memory, so less than the rest is left.
  const Placement part = Place(RunOf(100, 50, 10), 149);
  EXPECT_EQ(part.peak_bytes, 149u);
  EXPECT_EQ(part.activation_memory_bytes, 39u);
  EXPECT_EQ(part.spilled_bytes, 11u);

  const Placement none = Place(RunOf(100, 50, 10), 105);
  EXPECT_EQ(none.peak_bytes, 110u) << "does not fit";
  EXPECT_EQ(none.spilled_bytes, 50u);

  const Placement small = Place(RunOf(100, 8, 10), 50);
  EXPECT_EQ(small.least_bytes, 108u) << "spilling would not help";
  EXPECT_EQ(small.spilled_bytes, 0u);

  EXPECT_EQ(Place(RunOf(100, 50, 10), UINT64_MAX).spilled_bytes, 0u);
}

}  // namespace
}  // namespace quantd
