#include "models/layouts/fp6_split.h"

#include <cmath>
#include <memory>

#include "gmock/gmock.h"
#include "kernels/float_formats.h"
#include "tests/models/saved_layer.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::SavedLayer;
using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// All codes in row 0, and in reverse in row 1; the last channels are cut off.
Fp6SplitWeights Example(int64_t cols) {
  Fp6SplitWeights w;
  w.rows = 2;
  w.cols = cols;
  for (int64_t c = 0; c < cols; ++c) w.codes.push_back(c & 63);
  for (int64_t c = 0; c < cols; ++c) w.codes.push_back((63 - c) & 63);
  w.scales = {0.5f, F16ToF32(0x2B0F)};
  return w;
}

class Fp6SplitTest : public testing::Test {
 protected:
  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(Fp6SplitTest, DecodesByTheBiasShiftAndSurvivesSaving) {
  for (int64_t cols : {64, 63, 5, 2, 1}) {
    const Fp6SplitWeights w = Example(cols);
    ASSERT_OK_AND_ASSIGN(const auto linear, NewFp6Split(w));
    const Tensor decoded = linear->Decode(ctx_);
    for (int64_t r = 0; r < 2; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        const uint32_t code = w.codes[static_cast<size_t>(r * cols + c)];
        const float half = F16ToF32(
            static_cast<uint16_t>((code & 32) << 10 | (code & 31) << 8));
        ASSERT_EQ(decoded.row(r)[c],
                  half * (4096.0f * w.scales[static_cast<size_t>(r)]));
      }
    }
    const SavedLayer saved(*linear);
    EXPECT_EQ(linear->stored_bits(), saved.size_bits());
    ASSERT_OK_AND_ASSIGN(const auto loaded, saved.Load());
    const Tensor again = loaded->Decode(ctx_);
    for (int64_t i = 0; i < decoded.size(); ++i) {
      ASSERT_EQ(again.data()[i], decoded.data()[i]);
    }
  }
}

TEST_F(Fp6SplitTest, TakesSixBitsPerWeightAndAScalePerRow) {
  EXPECT_EQ(8 * Fp6SplitBytes(3, 256), 3u * (6 * 256 + 16));
}

TEST_F(Fp6SplitTest, BytesOfTheLayoutAreGolden) {
  Fp6SplitWeights w;
  w.rows = 1;
  w.cols = 5;
  w.codes = {0x1F, 0x20, 0x15, 0x0A, 0x3C};
  w.scales = {0.25f};
  ASSERT_OK_AND_ASSIGN(const auto linear, NewFp6Split(w));
  const SavedLayer saved(*linear);
  ASSERT_EQ(saved.tensors.size(), 3u);
  EXPECT_EQ(saved.tensors[0].name, "l.high");
  // Top bits 1, 2, 1, 0, 3: 1 + 2*4 + 1*16; 3.
  EXPECT_EQ(saved.tensors[0].bytes, std::string("\x19\x03", 2));
  EXPECT_EQ(saved.tensors[1].name, "l.low");
  EXPECT_EQ(saved.tensors[1].bytes, std::string("\x0F\xA5\x0C", 3));
  EXPECT_EQ(saved.tensors[2].name, "l.scales");
  EXPECT_EQ(saved.tensors[2].bytes, std::string("\x00\x34", 2));
  EXPECT_EQ(saved.header.dump(), R"({"layout":"fp6-split.v1"})");
}

TEST_F(Fp6SplitTest, QuadsArePackedAsTheReferenceDoes) {
  EXPECT_THAT(PackFp6Quads({0x1F, 0x20, 0x15, 0x0A}),
              ElementsAre(0x7E, 0x05, 0x4A));
}

TEST_F(Fp6SplitTest, WrongWeightsAreRefused) {
  const Fp6SplitWeights good = Example(8);
  auto bad = good;
  bad.codes[5] = 64;
  EXPECT_THAT(NewFp6Split(bad),
              StatusIs(kInvalid, HasSubstr("code 64 exceeds 63")));
  bad = good;
  bad.codes.pop_back();
  EXPECT_THAT(NewFp6Split(bad), StatusIs(kInvalid, HasSubstr("16 codes")));
  bad = good;
  bad.scales[0] = 0.1f;
  EXPECT_THAT(NewFp6Split(bad), StatusIs(kInvalid, HasSubstr("F16")));
  bad = good;
  bad.scales.pop_back();
  EXPECT_THAT(NewFp6Split(bad), StatusIs(kInvalid, HasSubstr("2 scales")));
}

TEST_F(Fp6SplitTest, DamagedFilesAreRefusedByLayerAndFault) {
  ASSERT_OK_AND_ASSIGN(const auto linear, NewFp6Split(Example(8)));
  const SavedLayer good(*linear);
  const auto expect = [](const SavedLayer& bad, const char* fault,
                         absl::StatusCode code = kInvalid) {
    EXPECT_THAT(bad.Load(), StatusIs(code, testing::AllOf(HasSubstr("layer l"),
                                                          HasSubstr(fault))));
  };
  SavedLayer bad = good;
  bad.part("high").shape = {4, 1};
  expect(bad, "high is U8 [4, 1], expected U8 [2, 2]");
  bad = good;
  bad.part("low").dtype = DType::kI8;
  expect(bad, "low is I8");
  bad = good;
  bad.part("scales").shape = {2, 1};
  expect(bad, "scales is F16 [2, 1], expected F16 [2]");
  bad = good;
  bad.part("scales").bytes[1] = '\x7E';  // NaN
  expect(bad, "F16");
  bad = good;
  bad.cols = 12;
  expect(bad, "high");
  bad = good;
  bad.tensors.pop_back();
  expect(bad, "l.scales", absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace quantd
