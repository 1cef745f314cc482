// The decoder against logits of the reference library, and its contract with
// the recipe engine (sets, taps, streaming).
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "models/model.h"
#include "nlohmann/json.hpp"
#include "tests/models/fixture_logits.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::quantd::test::TempDir;
using ::testing::_;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FixtureLogitsTest : public testing::TestWithParam<const char*> {};

TEST_P(FixtureLogitsTest, MatchTheReferenceLibrary) {
  const std::string directory =
      SharedPath(std::string("fixtures/") + GetParam());
  if (!std::filesystem::exists(directory)) {
    GTEST_SKIP() << "no fixture at " << directory;
  }
  for (bool tuned : {true, false}) {
    const auto device = tuned ? NewCpuDevice(2) : NewReferenceDevice();
    ASSERT_OK_AND_ASSIGN(const double difference,
                         test::LargestLogitDifference(directory, *device));
    EXPECT_LE(difference, test::kLogitBound) << device->name();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Families, FixtureLogitsTest,
    testing::Values("bert", "bloom", "falcon40b", "falcon7b", "gemma", "gemma2",
                    "gpt2", "gpt_neox", "gptj", "llama", "llama3", "mamba",
                    "mistral", "mixtral", "mpt", "opt", "opt_postnorm", "phi",
                    "phi3", "qwen2", "stablelm", "starcoder2"),
    [](const auto& info) { return std::string(info.param); });

class DecoderTest : public testing::Test {
 protected:
  void SetUp() override {
    test::WriteTinyModel(directory_.path());
    ASSERT_OK_AND_ASSIGN(checkpoint_, Checkpoint::Open(directory_.path()));
    ASSERT_OK_AND_ASSIGN(model_, Model::Open(checkpoint_));
    ASSERT_OK_AND_ASSIGN(block_, model_->LoadBlock(1, ctx_));
  }
  absl::StatusOr<Tensor> Embed(const std::vector<int32_t>& tokens,
                               int64_t sequences = 1) {
    const int64_t length = static_cast<int64_t>(tokens.size()) / sequences;
    return model_->Embed(tokens, SequenceBatch::Uniform(sequences, length),
                         ctx_);
  }
  TempDir directory_;
  std::unique_ptr<Device> device_ = NewCpuDevice(1);
  ExecutionContext ctx_{device_.get()};
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Block> block_;
};

// Records the sets seen and stops at one of them.
class RecordingTap final : public LinearTap {
 public:
  explicit RecordingTap(int stop_at) : stop_at_(stop_at) {}
  bool OnInput(int set, const Tensor& input) override {
    sets.push_back(set);
    cols.push_back(input.cols());
    return set != stop_at_;
  }
  std::vector<int> sets;
  std::vector<int64_t> cols;

 private:
  const int stop_at_;
};

// A vocabulary of two tiles, kept and converted tile by tile.
TEST(LogitTilesTest, AreTheLogitsBitForBit) {
  test::TinyModelOptions tiny;
  tiny.hidden = 64;
  tiny.vocabulary = 150000;
  tiny.blocks = 1;
  TempDir directory;
  test::WriteTinyModel(directory.path(), tiny);
  ASSERT_OK_AND_ASSIGN(const auto checkpoint,
                       Checkpoint::Open(directory.path()));
  const auto device = NewCpuDevice(2);
  ExecutionContext ctx(device.get());
  Tensor hidden = Tensor::Uninitialized({3, 64});
  for (int64_t i = 0; i < hidden.size(); ++i) {
    hidden.data()[i] = static_cast<float>(i % 17) - 8.0f;
  }
  for (const uint64_t kept : {UINT64_MAX, uint64_t{0}}) {
    ModelOptions options;
    options.max_head_bytes = kept;
    ASSERT_OK_AND_ASSIGN(const auto model, Model::Open(checkpoint, options));
    ASSERT_OK_AND_ASSIGN(const Tensor logits, model->Logits(hidden, ctx));
    int64_t next = 0;
    int tiles = 0;
    const auto compare = [&](int64_t begin, const Tensor& tile) {
      EXPECT_EQ(begin, next);
      EXPECT_LE(tile.cols(), LogitTileTokens(model->description()));
      for (int64_t r = 0; r < tile.rows(); ++r) {
        for (int64_t c = 0; c < tile.cols(); ++c) {
          if (tile.row(r)[c] != logits.row(r)[begin + c]) {
            return absl::InternalError(absl::StrCat("token ", begin + c));
          }
        }
      }
      next += tile.cols();
      ++tiles;
      return absl::OkStatus();
    };
    const absl::Status same = model->ForLogitTiles(hidden, compare, ctx);
    EXPECT_TRUE(same.ok()) << same;
    EXPECT_EQ(next, tiny.vocabulary);
    EXPECT_EQ(tiles, 2);
    int calls = 0;
    EXPECT_THAT(model->ForLogitTiles(
                    hidden,
                    [&](int64_t, const Tensor&) {
                      ++calls;
                      return absl::DataLossError("enough");
                    },
                    ctx),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("enough")));
    EXPECT_EQ(calls, 1);
  }
}

TEST_F(DecoderTest, SetsFollowTheOrderOfComputation) {
  EXPECT_THAT(block_->linear_sets(),
              ElementsAre(ElementsAre(0, 1, 2), ElementsAre(3),
                          ElementsAre(4, 5), ElementsAre(6)));
  EXPECT_EQ(block_->linears()[6].name(), "model.layers.1.mlp.down_proj");
  ASSERT_OK_AND_ASSIGN(const Tensor hidden, Embed({1, 2, 3, 4}));
  RecordingTap tap(-1);
  ASSERT_OK_AND_ASSIGN(const Tensor out,
                       block_->Forward(hidden, SequenceBatch::Uniform(1, 4),
                                       ctx_, &tap, nullptr));
  EXPECT_EQ(out.shape(), hidden.shape());
  EXPECT_THAT(tap.sets, ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(tap.cols, ElementsAre(32, 32, 32, 64));
}

TEST_F(DecoderTest, TapStopsTheBlock) {
  ASSERT_OK_AND_ASSIGN(const Tensor hidden, Embed({1, 2}));
  RecordingTap tap(1);
  ASSERT_OK_AND_ASSIGN(const Tensor out,
                       block_->Forward(hidden, SequenceBatch::Uniform(1, 2),
                                       ctx_, &tap, nullptr));
  EXPECT_EQ(out.size(), 0);
  EXPECT_THAT(tap.sets, ElementsAre(0, 1));
}

TEST_F(DecoderTest, SequencesOfABatchDoNotSeeEachOther) {
  ASSERT_OK_AND_ASSIGN(const Tensor a, Embed({1, 2, 3}));
  ASSERT_OK_AND_ASSIGN(const Tensor both, Embed({9, 8, 7, 1, 2, 3}, 2));
  ASSERT_OK_AND_ASSIGN(const Tensor alone,
                       block_->Forward(a, SequenceBatch::Uniform(1, 3), ctx_));
  ASSERT_OK_AND_ASSIGN(
      const Tensor batch,
      block_->Forward(both, SequenceBatch::Uniform(2, 3), ctx_));
  for (int64_t i = 0; i < alone.size(); ++i) {
    EXPECT_NEAR(alone.data()[i], batch.row(3)[i], 1e-6);
  }
}

TEST_F(DecoderTest, UnknownTokensAndCancellationAreReported) {
  EXPECT_THAT(Embed({0, 256}),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("256")));
  EXPECT_THAT(Embed({-1}), StatusIs(absl::StatusCode::kOutOfRange, _));
  ASSERT_OK_AND_ASSIGN(const Tensor hidden, Embed({1}));
  ctx_.RequestCancel();
  EXPECT_THAT(block_->Forward(hidden, SequenceBatch::Uniform(1, 1), ctx_),
              StatusIs(absl::StatusCode::kCancelled, _));
}

// A file without a size means the family's published one; where the tensors
// say otherwise, the error tells which sizes were not named.
TEST_F(DecoderTest, SizesThatTheFileDoesNotNameAreToldWhenTensorsDoNotFit) {
  auto config = checkpoint_->config();
  config.erase("intermediate_size");
  ASSERT_TRUE(
      WriteFileDurably(directory_.File("config.json"), config.dump()).ok());
  ASSERT_OK_AND_ASSIGN(checkpoint_, Checkpoint::Open(directory_.path()));
  EXPECT_THAT(DescribeModel(*checkpoint_),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("does not name intermediate_size; the "
                                 "family's published values were taken")));
}

TEST_F(DecoderTest, EveryTensorIsNamedOnce) {
  // A compressed checkpoint copies OtherTensors() and writes the linears; the
  // two must cover the checkpoint without overlap.
  std::vector<std::string> named = model_->OtherTensors();
  for (int k = 0; k < model_->block_count(); ++k) {
    ASSERT_OK_AND_ASSIGN(const auto block, model_->LoadBlock(k, ctx_));
    for (const std::string& name : block->OtherTensors()) {
      named.push_back(name);
    }
    for (const Linear& layer : block->linears()) {
      named.push_back(layer.name() + ".weight");
    }
  }
  std::vector<std::string> stored;
  for (const auto& [name, tensor] : checkpoint_->tensors()) {
    stored.push_back(name);
  }
  EXPECT_THAT(named, testing::UnorderedElementsAreArray(stored));
}

}  // namespace
}  // namespace quantd
