#include "models/checkpoint.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/sha256.h"
#include "kernels/device.h"
#include "kernels/execution_context.h"
#include "kernels/float_formats.h"
#include "nlohmann/json.hpp"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

class CheckpointTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& content) {
    ASSERT_THAT(WriteFileDurably(dir_.File(name), content), IsOk());
  }
  void WriteTensors(const std::string& name,
                    const std::vector<TensorToWrite>& tensors) {
    ASSERT_THAT(WriteSafetensors(dir_.File(name), tensors, {}), IsOk());
  }
  absl::StatusOr<std::shared_ptr<const Checkpoint>> Open() {
    return Checkpoint::Open(dir_.path());
  }

  TempDir dir_;
};

TEST_F(CheckpointTest, ConvertsEveryFloatFormat) {
  const std::vector<float> values = {1.0f, -0.5f, 3.25f};
  std::vector<uint16_t> half;
  std::vector<uint16_t> brain;
  for (const float value : values) {
    half.push_back(F32ToF16(value));
    brain.push_back(F32ToBF16(value));
  }
  Write("config.json", R"({"hidden_size": 3})");
  WriteTensors("model.safetensors",
               {{"odd", DType::kU8, {1}, "x"},  // misaligns the rest
                {"f32", DType::kF32, {3}, BytesOf(values)},
                {"f16", DType::kF16, {1, 3}, BytesOf(half)},
                {"bf16", DType::kBF16, {3, 1}, BytesOf(brain)}});
  ASSERT_OK_AND_ASSIGN(const auto checkpoint, Open());
  EXPECT_EQ(checkpoint->config()["hidden_size"], 3);
  EXPECT_EQ(checkpoint->directory(), dir_.path());
  EXPECT_EQ(checkpoint->parameter_count(), 10u);
  EXPECT_EQ(checkpoint->tensor_bytes(), 1u + 12 + 6 + 6);
  const std::vector<std::pair<std::string, Shape>> wanted = {
      {"f32", {3}}, {"f16", {1, 3}}, {"bf16", {3, 1}}};
  for (const auto& [name, shape] : wanted) {
    EXPECT_TRUE(checkpoint->Has(name));
    // Twice: the pages are let go in between.
    for (int round = 0; round < 2; ++round) {
      ASSERT_OK_AND_ASSIGN(const Tensor tensor,
                           checkpoint->LoadFloat(name, shape));
      EXPECT_EQ(tensor.shape(), shape);
      EXPECT_THAT(tensor.values(), ElementsAre(1.0f, -0.5f, 3.25f)) << name;
    }
  }
}

TEST_F(CheckpointTest, LoadFloatRefusesTheWrongTensor) {
  Write("config.json", "{}");
  WriteTensors(
      "model.safetensors",
      {{"w", DType::kF32, {2}, BytesOf<float>({1, 2})},
       {"ids", DType::kI32, {1}, "abcd"},
       {"nan", DType::kF32, {3}, BytesOf<float>({1, std::nanf(""), 2})},
       {"inf", DType::kF16, {2}, BytesOf<uint16_t>({0, 0xFC00})}});
  ASSERT_OK_AND_ASSIGN(const auto checkpoint, Open());
  EXPECT_THAT(checkpoint->LoadFloat("v", {2}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("\"v\""), HasSubstr(dir_.path()))));
  EXPECT_THAT(checkpoint->Find("v"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("\"v\"")));
  EXPECT_FALSE(checkpoint->Has("v"));
  EXPECT_THAT(checkpoint->LoadFloat("w", {1, 2}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("\"w\""), HasSubstr("[2]"),
                             HasSubstr("expected [1, 2]"))));
  EXPECT_THAT(checkpoint->LoadFloat("ids", {1}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("I32")));
  EXPECT_THAT(checkpoint->LoadFloat("nan", {3}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("\"nan\": element 1 is NaN")));
  EXPECT_THAT(checkpoint->LoadFloat("inf", {2}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("\"inf\": element 1 is infinite")));
}

TEST_F(CheckpointTest, OpensShardsAndSymbolicLinksToThem) {
  TempDir elsewhere;
  Write("config.json", "{}");
  WriteTensors("model-00001-of-00002.safetensors",
               {{"a", DType::kF32, {1}, BytesOf<float>({1})},
                {"b", DType::kF32, {1}, BytesOf<float>({2})}});
  ASSERT_THAT(
      WriteSafetensors(elsewhere.File("blob"),
                       {{"c", DType::kF32, {1}, BytesOf<float>({3})}}, {}),
      IsOk());
  std::filesystem::create_symlink(
      elsewhere.File("blob"), dir_.File("model-00002-of-00002.safetensors"));
  Write("model.safetensors.index.json",
        R"({"metadata": {"total_size": 12}, "weight_map": {
             "a": "model-00001-of-00002.safetensors",
             "b": "model-00001-of-00002.safetensors",
             "c": "model-00002-of-00002.safetensors"}})");
  ASSERT_OK_AND_ASSIGN(const auto checkpoint, Open());
  EXPECT_EQ(checkpoint->tensors().size(), 3u);
  EXPECT_THAT(checkpoint->LoadFloat("b", {1})->values(), ElementsAre(2.0f));
  EXPECT_THAT(checkpoint->LoadFloat("c", {1})->values(), ElementsAre(3.0f));
}

TEST_F(CheckpointTest, OneFileWinsOverAnIndex) {
  Write("config.json", "{}");
  WriteTensors("model.safetensors", {{"a", DType::kU8, {1}, "x"}});
  Write("model.safetensors.index.json", "not read");
  EXPECT_THAT(Open(), IsOk());
}

TEST_F(CheckpointTest, HeaderDigestChangesWithEachFileItCovers) {
  Write("config.json", "{}");
  WriteTensors("model.safetensors", {{"a", DType::kU8, {1}, "x"}});
  std::vector<std::string> digests;
  const auto digest = [&] {
    const auto checkpoint = Open();
    ASSERT_THAT(checkpoint, IsOk());
    EXPECT_TRUE(IsSha256Hex((*checkpoint)->header_digest()));
    for (const std::string& earlier : digests) {
      EXPECT_NE((*checkpoint)->header_digest(), earlier);
    }
    digests.push_back((*checkpoint)->header_digest());
    EXPECT_EQ((*Open())->header_digest(), digests.back());
  };
  digest();
  Write("config.json", R"({"a": 1})");
  digest();
  Write("tokenizer.model", "m");
  digest();
  Write("tokenizer.json", "x");
  digest();
  Write("tokenizer.model", "not used beside tokenizer.json");
  EXPECT_EQ((*Open())->header_digest(), digests.back());
  Write("tokenizer_config.json", "y");
  digest();
  WriteTensors("model.safetensors", {{"b", DType::kU8, {1}, "x"}});
  digest();
  Write("README.md", "not covered");
  EXPECT_EQ((*Open())->header_digest(), digests.back());
}

// A model and what was trained from it differ in nothing else.
TEST_F(CheckpointTest, ContentDigestChangesWithAByteOfAnyTensor) {
  Write("config.json", "{}");
  const auto device = NewCpuDevice(2);
  ExecutionContext ctx(device.get());
  std::vector<std::string> digests;
  const std::vector<std::string> contents[] = {
      {"xy", "z"}, {"xz", "z"}, {"xy", "y"}, {"yx", "z"}};
  for (const std::vector<std::string>& content : contents) {
    WriteTensors("model.safetensors", {{"a", DType::kU8, {2}, content[0]},
                                       {"b", DType::kU8, {1}, content[1]}});
    ASSERT_OK_AND_ASSIGN(const auto checkpoint, Open());
    ASSERT_OK_AND_ASSIGN(const std::string digest,
                         checkpoint->ContentDigest(ctx));
    EXPECT_TRUE(IsSha256Hex(digest));
    EXPECT_EQ(*checkpoint->ContentDigest(ctx), digest);
    EXPECT_EQ(*(*Open())->ContentDigest(ctx), digest);
    for (const std::string& earlier : digests) EXPECT_NE(digest, earlier);
    digests.push_back(digest);
  }
  Write("config.json", R"({"a": 1})");
  ASSERT_OK_AND_ASSIGN(const auto other, Open());
  EXPECT_NE(*other->ContentDigest(ctx), digests.back());
  ctx.RequestCancel();
  EXPECT_THAT((*Open())->ContentDigest(ctx),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("cancelled")));
}

TEST_F(CheckpointTest, CompanionFilesAreThoseThatExist) {
  Write("config.json", "{}");
  WriteTensors("model.safetensors", {});
  Write("tokenizer.json", "x");
  Write("merges.txt", "x");
  Write("notes.txt", "x");
  ASSERT_OK_AND_ASSIGN(const auto checkpoint, Open());
  EXPECT_THAT(checkpoint->CompanionFiles(),
              ElementsAre("merges.txt", "tokenizer.json"));
}

TEST_F(CheckpointTest, MissingFilesAreNotFoundByName) {
  EXPECT_THAT(Open(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("config.json")));
  Write("config.json", "{}");
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kNotFound,
                               AllOf(HasSubstr("model.safetensors"),
                                     HasSubstr("index.json"))));
}

TEST_F(CheckpointTest, OpensThePublishedFixtures) {
  const std::string fixtures = SharedPath("fixtures");
  if (!std::filesystem::exists(fixtures)) GTEST_SKIP() << "no " << fixtures;
  for (const auto& entry : std::filesystem::directory_iterator(fixtures)) {
    if (!entry.is_directory()) continue;
    ASSERT_OK_AND_ASSIGN(const auto checkpoint,
                         Checkpoint::Open(entry.path().string()));
    EXPECT_GT(checkpoint->parameter_count(), 0u) << entry;
  }
}

}  // namespace
}  // namespace quantd::test
