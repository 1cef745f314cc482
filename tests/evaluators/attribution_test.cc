#include "evaluators/attribution.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "models/checkpoint.h"
#include "models/safetensors.h"
#include "tests/testing/small_tokenizer.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::quantd::test::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kMetric[] = "gptq-16";

// Adds noise to the weights of tensors whose names begin with a prefix.
void Damage(const std::string& directory,
            const std::vector<std::string>& prefixes) {
  const std::string path = directory + "/model.safetensors";
  std::string image = *ReadFile(path);
  const auto tensors = ParseSafetensors(image, path);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  int changed = 0;
  for (const auto& [name, tensor] : *tensors) {
    for (const std::string& prefix : prefixes) {
      if (!absl::StartsWith(name, prefix) || tensor.shape.size() != 2) continue;
      std::mt19937_64 engine(name.size());
      std::normal_distribution<float> noise(0, 0.05f);
      const size_t at = static_cast<size_t>(tensor.bytes.data() - image.data());
      for (size_t i = 0; i < tensor.bytes.size(); i += sizeof(float)) {
        float value;
        std::memcpy(&value, &image[at + i], sizeof(value));
        value += noise(engine);
        std::memcpy(&image[at + i], &value, sizeof(value));
      }
      ++changed;
    }
  }
  ASSERT_GT(changed, 0);
  ASSERT_TRUE(WriteFileDurably(path, image).ok());
}

class AttributionTest : public testing::Test {
 protected:
  // A model with damaged parts.
  std::unique_ptr<Model> Open(const std::vector<std::string>& damaged,
                              int blocks = 3) {
    directories_.push_back(std::make_unique<TempDir>());
    const std::string& directory = directories_.back()->path();
    test::TinyModelOptions options;
    options.blocks = blocks;
    test::WriteTinyModel(directory, options);
    if (!damaged.empty()) Damage(directory, damaged);
    return *Model::Open(*Checkpoint::Open(directory));
  }

  absl::StatusOr<v1::AttributionReport> Measure(const Model& target,
                                                const Model& baseline) {
    const auto device = NewCpuDevice(threads_);
    ExecutionContext ctx(device.get());
    ctx.set_compute_type(compute_);
    absl::StatusOr<ConventionWindows> windows = ParseAttribution(kMetric, {});
    if (!windows.ok()) return windows.status();
    const auto requests =
        windows->Requests(test::TinyText(16 * 7), {*tokenizer_, 64});
    if (!requests.ok()) return requests.status();
    parts_.clear();
    return MeasureAttribution(
        target, baseline, *windows, *requests, options_,
        [&](double part) {
          parts_.push_back(part);
          if (cancel_at_ > 0 && part >= cancel_at_) ctx.RequestCancel();
        },
        ctx);
  }

  AttributionOptions options_;
  int threads_ = 1;
  ComputeType compute_ = ComputeType::kF32;
  double cancel_at_ = 0;
  std::vector<double> parts_;
  const std::unique_ptr<Tokenizer> tokenizer_ =
      *ParseTokenizer(test::SmallTokenizer().dump(), "");
  std::vector<std::unique_ptr<TempDir>> directories_;
};

TEST_F(AttributionTest, TheDamagedBlockGetsAllTheBlame) {
  const auto original = Open({});
  const auto artifact = Open({"model.layers.1."});
  ASSERT_OK_AND_ASSIGN(const v1::AttributionReport report,
                       Measure(*artifact, *original));
  EXPECT_EQ(report.metric(), "attribution/gptq-16");
  EXPECT_EQ(report.tag().convention(), "ppl/gptq-16");
  EXPECT_EQ(report.window_count(), 7u);
  EXPECT_EQ(report.scored_tokens(), 7u * 15);
  EXPECT_GT(report.baseline_nll(), 1);
  EXPECT_GT(report.kl().mean(), 1e-4);
  EXPECT_GT(report.kl().error_clustered(), 0);
  ASSERT_EQ(report.units_size(), 3);
  for (int u = 0; u < 3; ++u) {
    const v1::UnitAttribution& unit = report.units(u);
    EXPECT_EQ(unit.name(), "model.layers." + std::to_string(u));
    EXPECT_GT(unit.weights(), 0u);
    EXPECT_EQ(unit.bits_per_weight(), 32);
    EXPECT_FALSE(unit.compressed());
    const double whole = u == 1 ? report.kl().mean() : 0;
    EXPECT_EQ(unit.alone_kl().mean(), whole);
    EXPECT_EQ(unit.saved_kl().mean(), whole);
    EXPECT_EQ(unit.restored_kl().mean(), report.kl().mean() - whole);
    EXPECT_EQ(unit.alone_kl_share(), u == 1 ? 1 : 0);
    EXPECT_EQ(unit.saved_kl_share(), u == 1 ? 1 : 0);
    EXPECT_NEAR(unit.alone_kl_share_error(), 0, 1e-15);
    EXPECT_EQ(unit.alone_delta_nll().mean(),
              u == 1 ? report.delta_nll().mean() : 0);
  }
  EXPECT_EQ(report.kl_additivity_residual().mean(), 0);
  EXPECT_EQ(report.nll_additivity_residual().mean(), 0);
  EXPECT_FALSE(report.has_suggestion()) << "nothing is compressed";
}

TEST_F(AttributionTest, TheDamagedLayerGetsAllTheBlame) {
  options_.granularity = v1::ATTRIBUTE_LAYERS;
  const auto original = Open({});
  const auto artifact = Open({"model.layers.2.mlp.down_proj"});
  ASSERT_OK_AND_ASSIGN(const v1::AttributionReport report,
                       Measure(*artifact, *original));
  EXPECT_EQ(report.granularity(), v1::ATTRIBUTE_LAYERS);
  ASSERT_EQ(report.units_size(), 3 * 7);
  int blamed = 0;
  for (const v1::UnitAttribution& unit : report.units()) {
    const bool damaged = unit.name() == "model.layers.2.mlp.down_proj";
    blamed += damaged ? 1 : 0;
    EXPECT_EQ(unit.alone_kl_share(), damaged ? 1 : 0) << unit.name();
    EXPECT_EQ(unit.restored_kl().mean(), damaged ? 0 : report.kl().mean())
        << unit.name();
  }
  EXPECT_EQ(blamed, 1);
}

TEST_F(AttributionTest, EqualModelsHaveNothingToAttribute) {
  const auto original = Open({});
  const auto artifact = Open({});
  for (const auto granularity : {v1::ATTRIBUTE_BLOCKS, v1::ATTRIBUTE_LAYERS}) {
    options_.granularity = granularity;
    ASSERT_OK_AND_ASSIGN(const v1::AttributionReport report,
                         Measure(*artifact, *original));
    EXPECT_EQ(report.kl().mean(), 0);
    EXPECT_EQ(report.delta_nll().mean(), 0);
    for (const v1::UnitAttribution& unit : report.units()) {
      EXPECT_EQ(unit.alone_kl().mean(), 0) << unit.name();
      EXPECT_EQ(unit.alone_delta_nll().mean(), 0) << unit.name();
      EXPECT_EQ(unit.restored_kl().mean(), 0) << unit.name();
      EXPECT_FALSE(unit.has_alone_kl_share()) << unit.name();
      EXPECT_FALSE(unit.has_alone_nll_share()) << unit.name();
    }
  }
}

TEST_F(AttributionTest, TheOnlyBlockAccountsForEverything) {
  const auto original = Open({}, 1);
  const auto artifact = Open({"model.layers.0."}, 1);
  ASSERT_OK_AND_ASSIGN(const v1::AttributionReport report,
                       Measure(*artifact, *original));
  EXPECT_GT(report.kl().mean(), 0);
  EXPECT_EQ(report.kl_additivity_residual().mean(), 0);
  EXPECT_EQ(report.kl_additivity_residual().error_clustered(), 0);
  EXPECT_EQ(report.nll_additivity_residual().mean(), 0);
  EXPECT_EQ(report.units(0).alone_kl_share(), 1);
  EXPECT_EQ(report.units(0).restored_kl().mean(), 0);
}

// An exchanged unit is the network whose checkpoint has that unit.
TEST_F(AttributionTest, ExperimentsAreWhatMixedCheckpointsGive) {
  const std::string first = "model.layers.0.", last = "model.layers.2.";
  const auto original = Open({});
  const auto both = Open({first, last});
  ASSERT_OK_AND_ASSIGN(const v1::AttributionReport report,
                       Measure(*both, *original));
  std::map<std::string, v1::AttributionReport> alone;
  for (const std::string& block : {first, last}) {
    const auto mixed = Open({block});
    ASSERT_OK_AND_ASSIGN(alone[block], Measure(*mixed, *original));
  }
  EXPECT_EQ(report.units(0).alone_kl().mean(), alone[first].kl().mean());
  EXPECT_EQ(report.units(0).restored_kl().mean(), alone[last].kl().mean());
  EXPECT_EQ(report.units(2).alone_kl().mean(), alone[last].kl().mean());
  EXPECT_EQ(report.units(2).restored_kl().mean(), alone[first].kl().mean());
  EXPECT_EQ(report.units(2).alone_delta_nll().mean(),
            alone[last].delta_nll().mean());
  EXPECT_NEAR(
      report.kl_additivity_residual().mean(),
      alone[first].kl().mean() + alone[last].kl().mean() - report.kl().mean(),
      1e-12);
  EXPECT_NE(report.kl_additivity_residual().mean(), 0);
  double saved = report.kl().mean() - alone[last].kl().mean();
  EXPECT_NEAR(report.units(0).saved_kl().mean(), saved, 1e-12);
}

TEST_F(AttributionTest, BatchesAndThreadsChangeNothingInStrictArithmetic) {
  compute_ = ComputeType::kF32Strict;
  options_.granularity = v1::ATTRIBUTE_LAYERS;
  const auto original = Open({}, 2);
  const auto artifact = Open({"model.layers."}, 2);
  std::string expected;
  for (const int64_t windows : {1, 3, 100}) {
    for (const int threads : {1, 3}) {
      options_.batch_windows = windows;
      threads_ = threads;
      ASSERT_OK_AND_ASSIGN(const v1::AttributionReport report,
                           Measure(*artifact, *original));
      if (expected.empty()) expected = report.SerializeAsString();
      EXPECT_EQ(report.SerializeAsString(), expected)
          << windows << " " << threads;
    }
  }
}

TEST_F(AttributionTest, ProgressRisesToOneAndCancellationStopsIt) {
  options_.batch_windows = 2;
  const auto original = Open({});
  const auto artifact = Open({"model.layers.1."});
  ASSERT_TRUE(Measure(*artifact, *original).ok());
  EXPECT_TRUE(std::is_sorted(parts_.begin(), parts_.end()));
  EXPECT_NEAR(parts_.back(), 1, 1e-12);
  cancel_at_ = 0.3;
  EXPECT_THAT(Measure(*artifact, *original),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("")));
  EXPECT_LT(parts_.back(), 0.5);
}

TEST_F(AttributionTest, AnotherRepresentationIsRefusedByName) {
  const auto original = Open({});
  const auto rotated = Open({"model.embed_tokens"});
  EXPECT_THAT(Measure(*rotated, *original),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("cannot be exchanged"),
                             HasSubstr("model.embed_tokens.weight differs"))));
  const auto longer = Open({}, 4);
  EXPECT_THAT(Measure(*longer, *original),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("4 and 3 blocks")));
}

TEST_F(AttributionTest, ATargetThatNoUnitCanMeetIsRefusedBeforeAnythingRuns) {
  const auto original = Open({});
  const auto artifact = Open({"model.layers.1."});
  options_.target_bits = 4;
  EXPECT_THAT(Measure(*artifact, *original),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("nothing of the target is compressed")));
  EXPECT_TRUE(parts_.empty());
}

TEST_F(AttributionTest, ABrokenModelGetsNoReport) {
  const auto original = Open({});
  directories_.push_back(std::make_unique<TempDir>());
  test::TinyModelOptions options;
  options.blocks = 3;
  test::WriteTinyModel(directories_.back()->path(), options);
  const std::string path = directories_.back()->path() + "/model.safetensors";
  std::string image = *ReadFile(path);
  const auto tensors = *ParseSafetensors(image, path);
  const StoredTensor& weight = tensors.at("model.layers.1.mlp.up_proj.weight");
  const size_t at = static_cast<size_t>(weight.bytes.data() - image.data());
  // Finite, and too large for the product behind it.
  const float huge = 3e38f;
  for (size_t i = 0; i < weight.bytes.size(); i += sizeof(float)) {
    std::memcpy(&image[at + i], &huge, sizeof(huge));
  }
  ASSERT_TRUE(WriteFileDurably(path, image).ok());
  const auto broken =
      *Model::Open(*Checkpoint::Open(directories_.back()->path()));
  EXPECT_THAT(Measure(*broken, *original),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("NaN")));
}

TEST(ForecastAttributionTest, HoldsBothModelsAndWhatIsBetweenTheirBlocks) {
  TempDir dir;
  test::WriteTinyModel(dir.path(), {});
  ASSERT_OK_AND_ASSIGN(auto checkpoint, Checkpoint::Open(dir.path()));
  ModelFootprint footprint;
  ASSERT_OK_AND_ASSIGN(footprint.description, DescribeModel(*checkpoint));
  ScoringShape shape;
  shape.windows = 9;
  shape.window_tokens = 16;
  shape.batch_windows = 4;
  shape.baseline = &footprint;
  const RunForecast scoring =
      ForecastScoring(footprint, shape, ScoringOrder::kBatchMajor);
  const RunForecast blocks =
      ForecastAttribution(footprint, shape, v1::ATTRIBUTE_BLOCKS);
  const RunForecast layers =
      ForecastAttribution(footprint, shape, v1::ATTRIBUTE_LAYERS);
  EXPECT_GT(SumOf(blocks.parts),
            SumOf(scoring.parts) + 2 * 3 * 4 * 16 * 32 * 4);
  // 2 N passes become 2 N + N (N + 1).
  EXPECT_NEAR(blocks.work.product_flops / scoring.work.product_flops, 2.5,
              1e-12);
  EXPECT_NEAR(layers.work.product_flops / scoring.work.product_flops,
              1 + 7 * 1.5, 1e-12);
}

}  // namespace
}  // namespace quantd
