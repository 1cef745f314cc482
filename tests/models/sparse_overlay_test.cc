#include "models/layouts/sparse_overlay.h"

#include <cmath>
#include <memory>

#include "gmock/gmock.h"
#include "models/layouts/packed_int.h"
#include "nlohmann/json.hpp"
#include "tests/models/saved_layer.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::LoadLayer;
using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// 3 x 4, decodes to 0 .. 11.
std::shared_ptr<const CompressedLinear> Base() {
  PackedIntWeights w;
  w.rows = 3;
  w.cols = 4;
  w.bits = 4;
  w.group_size = 4;
  for (uint8_t i = 0; i < 12; ++i) w.codes.push_back(i);
  w.scales = {1, 1, 1};
  w.zeros = {0, 0, 0};
  return *NewPackedInt(w);
}

SparseEntries Scattered() { return {{0, 2, 2, 3}, {1, 3, 0}, {-1, 0.5f, 96}}; }

SparseEntries WholeColumns() {
  return {{0, 2, 4, 6}, {1, 3, 1, 3, 1, 3}, {-1, -2, -3, -4, -5, -6}};
}

class SparseOverlayTest : public testing::Test {
 protected:
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Load(
      const nlohmann::json& header) {
    return LoadLayer(tensors_, header, 3, 4);
  }

  std::vector<TensorToWrite> tensors_;
  std::unique_ptr<Device> device_ = NewCpuDevice(1);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(SparseOverlayTest, EntriesReplaceTheBaseAndSurviveSaving) {
  ASSERT_OK_AND_ASSIGN(const auto linear,
                       NewSparseOverlay(Base(), Scattered()));
  EXPECT_THAT(linear->Decode(ctx_).values(),
              testing::ElementsAre(0, -1, 2, 0.5f, 4, 5, 6, 7, 96, 9, 10, 11));
  const nlohmann::json header = linear->Save("l", &tensors_);
  uint64_t bytes = 0;
  for (const TensorToWrite& t : tensors_) bytes += t.bytes.size();
  EXPECT_EQ(linear->stored_bits(), 8 * bytes);
  EXPECT_EQ(bytes, Base()->stored_bits() / 8 + SparseOverlayBytes(3, 4, 3));
  ASSERT_OK_AND_ASSIGN(const auto loaded, Load(header));
  EXPECT_EQ(loaded->stored_bits(), linear->stored_bits());
  EXPECT_THAT(loaded->Decode(ctx_).values(),
              testing::ElementsAreArray(linear->Decode(ctx_).values()));
}

TEST_F(SparseOverlayTest, BytesOfTheLayoutAreGolden) {
  ASSERT_OK_AND_ASSIGN(const auto linear,
                       NewSparseOverlay(Base(), Scattered()));
  const nlohmann::json header = linear->Save("l", &tensors_);
  EXPECT_EQ(header["layout"], "sparse-overlay.v1");
  EXPECT_EQ(header["base"]["layout"], "packed-int.v1");
  ASSERT_EQ(tensors_.size(), 6u);
  EXPECT_EQ(tensors_[0].name, "l.codes");
  EXPECT_EQ(tensors_[3].name, "l.outlier_row_starts");
  EXPECT_EQ(tensors_[3].dtype, DType::kI32);
  EXPECT_EQ(tensors_[3].bytes,
            std::string("\0\0\0\0\2\0\0\0\2\0\0\0\3\0\0\0", 16));
  EXPECT_EQ(tensors_[4].name, "l.outlier_columns");
  EXPECT_EQ(tensors_[4].dtype, DType::kU16);
  EXPECT_EQ(tensors_[4].bytes, std::string("\1\0\3\0\0\0", 6));
  EXPECT_EQ(tensors_[5].name, "l.outlier_values");
  EXPECT_EQ(tensors_[5].dtype, DType::kF16);
  EXPECT_EQ(tensors_[5].bytes, std::string("\x00\xBC\x00\x38\x00\x56", 6));
}

TEST_F(SparseOverlayTest, WholeColumnsAreStoredOnce) {
  ASSERT_OK_AND_ASSIGN(const auto linear,
                       NewSparseOverlay(Base(), WholeColumns()));
  const nlohmann::json header = linear->Save("l", &tensors_);
  ASSERT_EQ(tensors_.size(), 5u);
  EXPECT_EQ(tensors_[3].name, "l.outlier_columns");
  EXPECT_EQ(tensors_[3].bytes, std::string("\1\0\3\0", 4));
  EXPECT_EQ(tensors_[4].shape, Shape({3, 2}));
  uint64_t bytes = 0;
  for (const TensorToWrite& t : tensors_) bytes += t.bytes.size();
  EXPECT_EQ(linear->stored_bits(), 8 * bytes);
  EXPECT_EQ(bytes, Base()->stored_bits() / 8 + WholeColumnBytes(3, 4, 2));
  ASSERT_OK_AND_ASSIGN(const auto loaded, Load(header));
  EXPECT_THAT(loaded->Decode(ctx_).values(),
              testing::ElementsAre(0, -1, 2, -2, 4, -3, 6, -4, 8, -5, 10, -6));
}

TEST_F(SparseOverlayTest, ColumnsOfWideLayersTakeFourBytes) {
  EXPECT_EQ(SparseOverlayBytes(3, 65536, 10), 16u + 10 * 4);
  EXPECT_EQ(SparseOverlayBytes(3, 65537, 10), 16u + 10 * 6);
  EXPECT_EQ(SparseOverlayBytes(1, 65537, 0), 0u);
  PackedIntWeights w;
  w.rows = 2;
  w.cols = 65538;
  w.bits = 2;
  w.group_size = w.cols;
  w.codes.resize(static_cast<size_t>(2 * w.cols));
  w.scales = {1, 1};
  w.zeros = {0, 0};
  ASSERT_OK_AND_ASSIGN(const auto base, NewPackedInt(w));
  ASSERT_OK_AND_ASSIGN(const auto linear,
                       NewSparseOverlay(base, {{0, 0, 1}, {65537}, {7}}));
  linear->Save("l", &tensors_);
  EXPECT_EQ(tensors_[4].dtype, DType::kU32);
  EXPECT_EQ(tensors_[4].bytes, std::string("\1\0\1\0", 4));
  EXPECT_EQ(linear->Decode(ctx_).row(1)[65537], 7);
}

TEST_F(SparseOverlayTest, WithoutEntriesTheBaseStaysAlone) {
  const auto base = Base();
  ASSERT_OK_AND_ASSIGN(const auto linear,
                       NewSparseOverlay(base, {{0, 0, 0, 0}, {}, {}}));
  EXPECT_EQ(linear, base);
}

TEST_F(SparseOverlayTest, WrongEntriesAreRefused) {
  auto expect = [](const SparseEntries& entries, const char* fault) {
    EXPECT_THAT(NewSparseOverlay(Base(), entries),
                StatusIs(kInvalid, HasSubstr(fault)));
  };
  expect({{0, 1}, {0}, {0}}, "2 row starts");
  expect({{0, 1, 1, 1}, {0}, {}}, "0 values");
  expect({{0, 2, 1, 1}, {0}, {0}}, "decrease after row 1");
  expect({{0, 1, 1, 2}, {0}, {0}}, "from 0 to 2");
  expect({{1, 1, 1, 1}, {0}, {0}}, "from 1 to 1");
  expect({{0, 2, 2, 2}, {1, 1}, {0, 0}}, "1 in row 0 is not in 2..3");
  expect({{0, 0, 2, 2}, {2, 1}, {0, 0}}, "1 in row 1");
  expect({{0, 1, 1, 1}, {4}, {0}}, "4 in row 0 is not in 0..3");
  expect({{0, 1, 1, 1}, {-1}, {0}}, "-1 in row 0");
  expect({{0, 1, 1, 1}, {0}, {0.1f}}, "F16");
  expect({{0, 1, 1, 1}, {0}, {NAN}}, "F16");
  EXPECT_THAT(NewSparseOverlay(nullptr, Scattered()),
              StatusIs(kInvalid, HasSubstr("nothing to wrap")));
  EXPECT_THAT(
      NewSparseOverlay(*NewSparseOverlay(Base(), Scattered()), Scattered()),
      StatusIs(kInvalid, HasSubstr("occurs twice")));
}

TEST_F(SparseOverlayTest, DamagedFilesAreRefusedByLayerAndFault) {
  ASSERT_OK_AND_ASSIGN(const auto linear,
                       NewSparseOverlay(Base(), Scattered()));
  const nlohmann::json header = linear->Save("l", &tensors_);
  const auto saved = tensors_;
  auto expect = [&](const nlohmann::json& h, const char* fault,
                    absl::StatusCode code = kInvalid) {
    EXPECT_THAT(Load(h), StatusIs(code, testing::AllOf(HasSubstr("layer l"),
                                                       HasSubstr(fault))));
    tensors_ = saved;
  };
  nlohmann::json h = header;
  h.erase("base");
  expect(h, "base is not an object");
  h = header;
  h["base"] = "packed-int.v1";
  expect(h, "base is not an object");
  h = header;
  h["base"]["layout"] = "nothing.v1";
  expect(h, "nothing.v1", absl::StatusCode::kUnimplemented);
  h = header;
  h["base"]["bits"] = 9;
  expect(h, "bits 9");
  h = header;
  h["whole_columns"] = 1;
  expect(h, "whole_columns");
  h = header;
  h["whole_columns"] = true;
  expect(h, "outlier_values is F16 [3], expected F16 [3, 3]");
  h = header;
  h["base"] = header;
  expect(h, "occurs twice");
  tensors_[3].bytes[4] = 9;
  expect(header, "outlier_row_starts");
  tensors_[3].shape = {3};
  expect(header, "outlier_row_starts is I32 [3], expected I32 [4]");
  tensors_[4].bytes[0] = 7;
  expect(header, "7 in row 0");
  tensors_[4].dtype = DType::kI16;
  expect(header, "outlier_columns is I16");
  tensors_[4].shape = {1, 3};
  expect(header, "outlier_columns is U16 [1, 3], expected U16 [3]");
  tensors_[5].bytes[1] = '\x7C';
  expect(header, "F16");
  tensors_.pop_back();
  expect(header, "l.outlier_values", absl::StatusCode::kNotFound);
}

TEST_F(SparseOverlayTest, DeepNestingIsRefusedBeforeItIsFollowed) {
  ASSERT_OK_AND_ASSIGN(const auto linear,
                       NewSparseOverlay(Base(), Scattered()));
  nlohmann::json header = linear->Save("l", &tensors_);
  for (int i = 0; i < 50; ++i) {
    nlohmann::json outer = {{"layout", "sparse-overlay.v1"},
                            {"whole_columns", false}};
    outer["base"] = std::move(header);
    header = std::move(outer);
  }
  EXPECT_THAT(Load(header),
              StatusIs(kInvalid, HasSubstr("layouts inside each other")));
}

}  // namespace
}  // namespace quantd
