#include "quantizers/network_rotation.h"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

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

using ::quantd::test::IsOk;
using ::quantd::test::StatusIs;
using ::quantd::test::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;

class NetworkRotationTest : public testing::Test {
 protected:
  absl::Status Rotate(const std::string& source, const std::string& target,
                      const NetworkRotationOptions& options = {}) {
    auto checkpoint = Checkpoint::Open(source);
    if (!checkpoint.ok()) return checkpoint.status();
    const auto model = Model::Open(*checkpoint);
    if (!model.ok()) return model.status();
    const ModelDescription& description = (*model)->description();
    const absl::Status fits = CheckRotatable(description, options.kind);
    if (!fits.ok()) return fits;
    return WriteRotatedCheckpoint(**checkpoint, description, options, target,
                                  ctx_);
  }

  // Logits of all positions of a few fixed tokens.
  std::vector<float> Logits(const std::string& directory) {
    const auto model = *Model::Open(*Checkpoint::Open(directory));
    std::vector<int32_t> tokens;
    for (int i = 0; i < 24; ++i) tokens.push_back((i * 37 + 5) % 200);
    const auto batch = SequenceBatch::Uniform(1, 24);
    Tensor hidden = *model->Embed(tokens, batch, ctx_);
    for (int k = 0; k < model->block_count(); ++k) {
      const auto block = *model->LoadBlock(k, ctx_);
      hidden = *block->Forward(hidden, batch, ctx_);
    }
    const Tensor logits = *model->Logits(hidden, ctx_);
    return {logits.values().begin(), logits.values().end()};
  }

  static std::map<std::string, std::string> FilesIn(
      const std::string& directory) {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      files[entry.path().filename()] = *ReadFile(entry.path());
    }
    return files;
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

// The oracle is the reference library's logits of the original.
TEST_F(NetworkRotationTest, LogitsStayThoseOfTheOriginal) {
  for (const char* family :
       {"llama", "llama3", "mistral", "mixtral", "gemma", "qwen2", "phi3"}) {
    const std::string source = SharedPath(std::string("fixtures/") + family);
    if (!std::filesystem::exists(source)) GTEST_SKIP() << source;
    for (bool values : {false, true}) {
      TempDir target;
      const RotationKind kind =
          values ? RotationKind::kAny : RotationKind::kOrthogonal;
      ASSERT_THAT(Rotate(source, target.path(), {kind, 5, values}), IsOk())
          << family;
      std::filesystem::copy(source + "/reference.safetensors", target.path());
      const auto original = test::LargestLogitDifference(source, *device_);
      const auto rotated =
          test::LargestLogitDifference(target.path(), *device_);
      ASSERT_THAT(original, IsOk());
      ASSERT_THAT(rotated, IsOk()) << family;
      EXPECT_LT(*rotated, *original + 1e-4) << family;
    }
  }
}

TEST_F(NetworkRotationTest, HiddenStatesAreRotatedAndGainsAreGone) {
  TempDir source, target;
  test::WriteTinyModel(source.path());
  ASSERT_THAT(Rotate(source.path(), target.path()), IsOk());
  const auto before = *Checkpoint::Open(source.path());
  const auto after = *Checkpoint::Open(target.path());
  ASSERT_OK_AND_ASSIGN(const Rotation rotation,
                       Rotation::Random(32, RotationKind::kAny, 0));
  const Tensor e = *before->LoadFloat("model.embed_tokens.weight", {256, 32});
  const Tensor expected = rotation.RotateRows(e, {}, ctx_);
  const Tensor got = *after->LoadFloat("model.embed_tokens.weight", {256, 32});
  for (int64_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got.data()[i], expected.data()[i]);
  }
  for (const char* norm : {"model.layers.1.input_layernorm.weight",
                           "model.layers.0.post_attention_layernorm.weight",
                           "model.norm.weight"}) {
    const Tensor gain = *after->LoadFloat(norm, {32});
    for (float g : gain.values()) EXPECT_EQ(g, 1.0f) << norm;
  }
}

TEST_F(NetworkRotationTest, TiedHeadsAreUntiedUnlessTheLastGainIsOne) {
  const auto retie = [](const std::string& directory) {
    auto config = nlohmann::json::parse(*ReadFile(directory + "/config.json"));
    config["tie_word_embeddings"] = true;
    ASSERT_THAT(WriteFileDurably(directory + "/config.json", config.dump()),
                IsOk());
  };
  TempDir source, target;
  test::WriteTinyModel(source.path());
  retie(source.path());
  ASSERT_THAT(Rotate(source.path(), target.path()), IsOk());
  const auto rotated = *Model::Open(*Checkpoint::Open(target.path()));
  EXPECT_FALSE(rotated->description().head.tied);
  const std::vector<float> expected = Logits(source.path());
  std::vector<float> got = Logits(target.path());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], expected[i], 1e-4);
  }
  // The rotated head is the rotated embedding once gains are gone.
  TempDir again;
  auto config =
      nlohmann::json::parse(*ReadFile(target.path() + "/config.json"));
  retie(target.path());
  ASSERT_THAT(
      Rotate(target.path(), again.path(), {RotationKind::kAny, 8, true}),
      IsOk());
  EXPECT_TRUE(
      (*Model::Open(*Checkpoint::Open(again.path())))->description().head.tied);
}

TEST_F(NetworkRotationTest, FamiliesThatCannotBeRotatedAreRefusedByName) {
  const std::map<std::string, std::string> reasons = {
      {"gemma2", "norm after a part"},
      {"opt", "LayerNorm"},
      {"opt_postnorm", "normalises the residual stream"},
      {"gpt2", "LayerNorm"},
      {"gpt_neox", "parallel"},
      {"gptj", "parallel"},
      {"falcon7b", "parallel"},
      {"bloom", "LayerNorm"},
      {"mpt", "LayerNorm"},
      {"phi", "parallel"},
      {"stablelm", "LayerNorm"},
      {"starcoder2", "LayerNorm"},
      {"mamba", "no attention"},
      {"bert", "normalises the residual stream"},
  };
  for (const auto& [family, reason] : reasons) {
    const std::string source = SharedPath("fixtures/" + family);
    if (!std::filesystem::exists(source)) GTEST_SKIP() << source;
    TempDir target;
    EXPECT_THAT(Rotate(source, target.path()),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("cannot be rotated"),
                               HasSubstr("family"), HasSubstr(reason))))
        << family;
  }
}

TEST_F(NetworkRotationTest, BytesDependOnTheSeedAndNotOnThreadsOrResumption) {
  TempDir source, first, second, third;
  test::WriteTinyModel(source.path());
  ASSERT_THAT(Rotate(source.path(), first.path()), IsOk());
  ASSERT_THAT(
      Rotate(source.path(), third.path(), {RotationKind::kAny, 1, true}),
      IsOk());
  // As after a crash: one shard is there.
  std::filesystem::copy(first.path() + "/model-00002-of-00003.safetensors",
                        second.path());
  device_ = NewCpuDevice(1);
  ExecutionContext one(device_.get());
  const auto checkpoint = *Checkpoint::Open(source.path());
  const auto model = *Model::Open(checkpoint);
  ASSERT_THAT(WriteRotatedCheckpoint(*checkpoint, model->description(), {},
                                     second.path(), one),
              IsOk());
  EXPECT_EQ(FilesIn(first.path()), FilesIn(second.path()));
  EXPECT_NE(FilesIn(first.path()), FilesIn(third.path()));
}

TEST_F(NetworkRotationTest, ForecastOfItsBytesIsExact) {
  TempDir source, target;
  test::TinyModelOptions options;
  options.dtype = DType::kBF16;
  test::WriteTinyModel(source.path(), options);
  ASSERT_THAT(Rotate(source.path(), target.path()), IsOk());
  const auto before = *Checkpoint::Open(source.path());
  const auto after = *Checkpoint::Open(target.path());
  const auto model = *Model::Open(before);
  EXPECT_EQ(RotatedCheckpointBytes(model->description()),
            after->tensor_bytes());
  const ModelFootprint forecast =
      RotatedFootprint(FootprintOf(*before, model->description()));
  const auto rotated = *Model::Open(after);
  const ModelFootprint real = FootprintOf(*after, rotated->description());
  EXPECT_EQ(forecast.weight_bytes, real.weight_bytes);
  EXPECT_EQ(forecast.outer_bytes, real.outer_bytes);
  EXPECT_EQ(forecast.other_bytes, real.other_bytes);
}

TEST_F(NetworkRotationTest, CancellationIsObeyed) {
  TempDir source, target;
  test::WriteTinyModel(source.path());
  ctx_.RequestCancel();
  EXPECT_THAT(Rotate(source.path(), target.path()),
              StatusIs(absl::StatusCode::kCancelled, testing::_));
}

}  // namespace
}  // namespace quantd
