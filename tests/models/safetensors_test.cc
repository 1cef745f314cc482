#include "models/safetensors.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "tests/models/safetensors_image.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

TEST(ParseSafetensorsTest, FindsTensorsAndMetadata) {
  const std::string image =
      Image(R"({"__metadata__":{"format":"pt"},)"
            R"("b":{"dtype":"BF16","shape":[1,2],"data_offsets":[4,8]},)"
            R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})",
            "abcdBBBB");
  std::map<std::string, std::string> metadata;
  ASSERT_OK_AND_ASSIGN(const auto tensors,
                       ParseSafetensors(image, "f", &metadata));
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors.at("a").bytes, "abcd");
  EXPECT_EQ(tensors.at("a").dtype, DType::kU8);
  EXPECT_EQ(tensors.at("b").bytes, "BBBB");
  EXPECT_EQ(tensors.at("b").name, "b");
  EXPECT_THAT(tensors.at("b").shape, ElementsAre(1, 2));
  EXPECT_THAT(metadata, ElementsAre(Pair("format", "pt")));
}

TEST(ParseSafetensorsTest, ResultPointsIntoTheImage) {
  const std::string image = OneTensor("\"F32\"", "[2]", "[0,8]");
  ASSERT_OK_AND_ASSIGN(const auto tensors, ParseSafetensors(image, "f"));
  EXPECT_EQ(tensors.at("t").bytes.data(), image.data() + image.size() - 8);
}

TEST(ParseSafetensorsTest, TakesUnusualButValidFiles) {
  const std::vector<std::string> images = {
      Image("{}", ""),
      Image("{}      ", ""),
      Image(R"({"__metadata__":{}})", ""),
      OneTensor("\"F64\"", "[]", "[0,8]"),
      OneTensor("\"F32\"", "[1,1,2,1,1]", "[0,8]"),
      // Empty tensors at the start, between others and at the end.
      Image(R"({"z":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)"
            R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
            R"("y":{"dtype":"F32","shape":[3,0],"data_offsets":[1,1]},)"
            R"("b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},)"
            R"("x":{"dtype":"F32","shape":[0,9],"data_offsets":[2,2]}})",
            "ab"),
      // Tensor names are any text, and order in the header is free.
      Image(R"({"\u00e9\n":{"data_offsets":[1,2],"shape":[1],"dtype":"I8"},)"
            R"("":{"data_offsets":[0,1],"shape":[1],"dtype":"I8"}})",
            "ab"),
  };
  for (const std::string& image : images) {
    EXPECT_THAT(ParseSafetensors(image, "f"), IsOk()) << image;
  }
}

TEST(ParseSafetensorsTest, KnowsEveryDtype) {
  for (const DType dtype : AllDTypes()) {
    const size_t size = DTypeSize(dtype);
    const std::string image = Image(
        absl::StrCat("{\"t\":{\"dtype\":\"", DTypeName(dtype),
                     "\",\"shape\":[3],\"data_offsets\":[0,", 3 * size, "]}}"),
        std::string(3 * size, 'x'));
    ASSERT_OK_AND_ASSIGN(const auto tensors, ParseSafetensors(image, "f"));
    EXPECT_EQ(tensors.at("t").dtype, dtype);
  }
}

TEST(WriteSafetensorsTest, WritesWhatOpenReads) {
  TempDir dir;
  const std::string path = dir.File("m.safetensors");
  const std::vector<TensorToWrite> tensors = {
      {"z", DType::kI32, {2}, "12345678"},
      {"empty", DType::kF32, {0, 4}, ""},
      {"a\"\xC3\xA9", DType::kU8, {1, 3}, "abc"},
  };
  const std::map<std::string, std::string> metadata = {{"format", "pt"}};
  ASSERT_THAT(WriteSafetensors(path, tensors, metadata), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto file, SafetensorsFile::Open(path));
  EXPECT_EQ(file->metadata(), metadata);
  EXPECT_EQ(file->path(), path);
  EXPECT_EQ(file->size_bytes(), file->header().size() + 11);
  ASSERT_EQ(file->tensors().size(), tensors.size());
  for (const TensorToWrite& written : tensors) {
    const StoredTensor& read = file->tensors().at(written.name);
    EXPECT_EQ(read.dtype, written.dtype);
    EXPECT_EQ(read.shape, written.shape);
    EXPECT_EQ(read.bytes, written.bytes);
    file->Release(read);
    EXPECT_EQ(read.bytes, written.bytes) << "after Release()";
  }
  // In the order given, whatever their names.
  EXPECT_LT(file->tensors().at("z").bytes.data(),
            file->tensors().at("a\"\xC3\xA9").bytes.data());
}

TEST(WriteSafetensorsTest, BytesAreGoldenAndTheDataIsAligned) {
  TempDir dir;
  const std::string path = dir.File("m.safetensors");
  ASSERT_THAT(
      WriteSafetensors(path, {{"w", DType::kF16, {2}, "wxyz"}}, {{"k", "v"}}),
      IsOk());
  ASSERT_OK_AND_ASSIGN(const std::string bytes, ReadFile(path));
  const std::string header =
      R"({"__metadata__":{"k":"v"},)"
      R"("w":{"dtype":"F16","shape":[2],"data_offsets":[0,4]}})"
      " ";
  EXPECT_EQ(bytes, Image(header, "wxyz"));
  EXPECT_EQ((8 + header.size()) % 8, 0u);
}

TEST(WriteTensorStreamsTest, BytesAreThoseOfTensorsInMemory) {
  TempDir dir;
  const std::string content = "0123456789abcdef";
  std::vector<uint64_t> offsets;
  const auto pieces_of = [&](uint64_t size) {
    return [&, size](uint64_t offset) -> absl::StatusOr<std::string> {
      offsets.push_back(offset);
      return content.substr(offset, std::min<uint64_t>(size, 16 - offset));
    };
  };
  ASSERT_THAT(WriteTensorStreams(dir.File("s"),
                                 {{"a", DType::kF32, {2, 2}, pieces_of(6)},
                                  {"none", DType::kF32, {0}, pieces_of(1)},
                                  {"b", DType::kU8, {16}, pieces_of(16)}},
                                 {{"k", "v"}}),
              IsOk());
  EXPECT_THAT(offsets, testing::ElementsAre(0, 6, 12, 0));
  ASSERT_THAT(WriteSafetensors(dir.File("m"),
                               {{"a", DType::kF32, {2, 2}, content},
                                {"none", DType::kF32, {0}, ""},
                                {"b", DType::kU8, {16}, content}},
                               {{"k", "v"}}),
              IsOk());
  EXPECT_EQ(*ReadFile(dir.File("s")), *ReadFile(dir.File("m")));
}

TEST(WriteTensorStreamsTest, StreamsThatFailOrOverflowLeaveNoFile) {
  TempDir dir;
  const std::string path = dir.File("s");
  EXPECT_THAT(WriteTensorStreams(path,
                                 {{"a",
                                   DType::kU8,
                                   {4},
                                   [](uint64_t) -> absl::StatusOr<std::string> {
                                     return absl::InvalidArgumentError(
                                         "no such weight");
                                   }}},
                                 {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::AllOf(HasSubstr("tensor a"),
                                      HasSubstr("no such weight"))));
  for (const char* piece : {"", "12345"}) {
    EXPECT_THAT(
        WriteTensorStreams(path,
                           {{"a",
                             DType::kU8,
                             {4},
                             [piece](uint64_t) -> absl::StatusOr<std::string> {
                               return std::string(piece);
                             }}},
                           {}),
        StatusIs(absl::StatusCode::kInternal, HasSubstr("tensor a")));
  }
  EXPECT_THAT(SafetensorsFile::Open(path),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
}

TEST(WriteSafetensorsTest, RefusesWhatNoReaderWouldTake) {
  TempDir dir;
  const std::string path = dir.File("m.safetensors");
  const auto expect = [&](const std::vector<TensorToWrite>& tensors,
                          const std::string& fault) {
    EXPECT_THAT(WriteSafetensors(path, tensors, {}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(fault)));
  };
  expect({{"a", DType::kU8, {1}, "x"}, {"a", DType::kU8, {1}, "x"}},
         "two tensors have this name");
  expect({{"a", DType::kU8, {2}, "x"}}, "1 bytes do not fill U8 [2]");
  expect({{"a", DType::kU8, {-1}, "x"}}, "bad shape");
  expect({{"\xFF", DType::kU8, {1}, "x"}}, "not usable as a tensor name");
  expect({{"__metadata__", DType::kU8, {1}, "x"}}, "not usable");
  EXPECT_THAT(
      WriteSafetensors(path, {}, {{"k", "\xFF"}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not UTF-8")));
  EXPECT_THAT(SafetensorsFile::Open(path),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(path)));
}

}  // namespace
}  // namespace quantd::test
