#include "server/model_registration.h"

#include <filesystem>
#include <fstream>

#include "tests/server/scripted_worker.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ModelRegistrationTest, APathIsAbsoluteAndComesOutShortest) {
  EXPECT_EQ(*CheckModelPath("/a//b/./c/../d/", {}), "/a/b/d");
  EXPECT_EQ(*CheckModelPath("/", {}), "/");
  for (const char* path : {"", "models/x", "./x", "../x"}) {
    EXPECT_THAT(
        CheckModelPath(path, {}),
        StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("absolute")))
        << path;
  }
}

TEST(ModelRegistrationTest, RootsHoldAlsoAgainstDotsAndLinks) {
  TempDir directory;
  const std::string root = directory.File("models");
  const std::string outside = directory.File("outside");
  std::filesystem::create_directories(root + "/inside");
  std::filesystem::create_directories(outside);
  std::filesystem::create_directory_symlink(outside, root + "/link");
  const std::vector<std::string> roots = {"/nowhere", root};
  EXPECT_THAT(CheckModelPath(root + "/inside", roots), IsOk());
  EXPECT_THAT(CheckModelPath(root, roots), IsOk());
  for (const std::string& path : {outside, root + "/../outside", root + "/link",
                                  root + "x", root + "/link/../../outside"}) {
    EXPECT_THAT(CheckModelPath(path, roots),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(root)))
        << path;
  }
}

TEST(ModelRegistrationTest, ACheckpointIsDescribedFromItsFiles) {
  ASSERT_OK_AND_ASSIGN(const v1::Model model,
                       DescribeModelDirectory(DemoModelPath()));
  EXPECT_EQ(model.path(), DemoModelPath());
  EXPECT_EQ(model.architecture(), "llama");
  EXPECT_GT(model.parameters(), 100000u);
  EXPECT_GE(model.size_bytes(), 2 * model.parameters());
  EXPECT_GT(model.blocks(), 0u);
  EXPECT_GT(model.hidden_size(), 0u);
  EXPECT_GT(model.vocabulary_size(), 0u);
  EXPECT_GT(model.context_tokens(), 0u);
  EXPECT_EQ(model.digest().size(), 64u);
}

TEST(ModelRegistrationTest, EveryFaultIsOneOfThePathAndNamesTheFile) {
  TempDir directory;
  const std::string copy = directory.File("model");
  std::filesystem::copy(DemoModelPath(), copy);
  ASSERT_THAT(DescribeModelDirectory(copy), IsOk());
  const auto expect_fault = [&](const std::string& file) {
    EXPECT_THAT(DescribeModelDirectory(copy),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("path"), HasSubstr(file))));
  };
  std::ofstream(copy + "/tokenizer.json") << "{";
  expect_fault("tokenizer.json");
  std::filesystem::remove(copy + "/tokenizer.json");
  expect_fault("tokenizer.json");
  std::filesystem::resize_file(copy + "/model.safetensors", 100);
  expect_fault("model.safetensors");
  std::filesystem::remove(copy + "/config.json");
  expect_fault("config.json");
  std::filesystem::remove_all(copy);
  expect_fault(copy);
}

TEST(ModelRegistrationTest, AnUnknownArchitectureIsUnimplemented) {
  TempDir directory;
  const std::string copy = directory.File("model");
  std::filesystem::copy(DemoModelPath(), copy);
  std::ofstream(copy + "/config.json") << R"({"model_type": "perceptron"})";
  EXPECT_THAT(
      DescribeModelDirectory(copy),
      StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("perceptron")));
}

}  // namespace
}  // namespace quantd::test
