#include "models/layouts/dual_binary.h"

#include <cmath>
#include <memory>
#include <random>

#include "gmock/gmock.h"
#include "models/tunable_linear.h"
#include "tensor/gradient_tape.h"
#include "tests/models/saved_layer.h"
#include "tests/models/tunable_checks.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::SavedLayer;
using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

DualBinaryWeights Example(int64_t rows, int64_t cols, int64_t group_size,
                          bool mirrored) {
  std::mt19937_64 engine(static_cast<uint64_t>(rows + cols));
  DualBinaryWeights w;
  w.rows = rows;
  w.cols = cols;
  w.group_size = group_size;
  for (int64_t i = 0; i < rows * cols; ++i) {
    w.codes.push_back(static_cast<uint8_t>(engine() % 4));
  }
  for (int64_t i = 0; i < rows * (cols / group_size); ++i) {
    w.highs.push_back(0.5f + 0.125f * static_cast<float>(i));
    w.lows.push_back(-0.25f - 0.0625f * static_cast<float>(i));
    if (mirrored) w.mirrored.push_back(static_cast<uint8_t>(engine() % 2));
  }
  return w;
}

class DualBinaryTest : public testing::Test {
 protected:
  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(DualBinaryTest, DecodesByItsDefinitionAndSurvivesSaving) {
  for (const bool mirrored : {false, true}) {
    for (const bool indexed : {false, true}) {
      for (const int64_t cols : {24, 21, 3}) {
        const int64_t groups = cols / 3;
        DualBinaryWeights w = Example(19, cols, 3, mirrored);
        for (int64_t c = 0; indexed && c < cols; ++c) {
          w.group_index.push_back(static_cast<int32_t>(c * 7 % groups));
        }
        ASSERT_OK_AND_ASSIGN(const auto linear, NewDualBinary(w));
        const Tensor decoded = linear->Decode(ctx_);
        for (int64_t r = 0; r < 19; ++r) {
          for (int64_t c = 0; c < cols; ++c) {
            const size_t g = static_cast<size_t>(
                r * groups + (indexed ? w.group_index[c] : c / 3));
            const int code = w.codes[static_cast<size_t>(r * cols + c)];
            const float sign = mirrored && w.mirrored[g] != 0 ? -1.0f : 1.0f;
            ASSERT_EQ(decoded.row(r)[c],
                      sign * (w.highs[g] * static_cast<float>(code & 1) +
                              w.lows[g] * static_cast<float>(code / 2)));
          }
        }
        const SavedLayer stored(*linear);
        EXPECT_EQ(linear->stored_bits(), stored.size_bits());
        EXPECT_EQ(linear->stored_bits(),
                  8 * (DualBinaryBytes(19, cols, 3, mirrored) +
                       4 * w.group_index.size()));
        ASSERT_OK_AND_ASSIGN(const auto loaded, stored.Load());
        EXPECT_EQ(test::SavedBytes(*loaded), test::SavedBytes(*linear));
        const auto unpacked = UnpackDualBinary(*loaded);
        ASSERT_TRUE(unpacked.has_value());
        EXPECT_EQ(unpacked->codes, w.codes);
        EXPECT_EQ(unpacked->highs, w.highs);
        EXPECT_EQ(unpacked->lows, w.lows);
        EXPECT_EQ(unpacked->mirrored, w.mirrored);
        EXPECT_EQ(unpacked->group_index, w.group_index);
        EXPECT_EQ(unpacked->group_size, 3);
      }
    }
  }
}

// 2 + 32 / g, and a bit a group that may be mirrored.
TEST_F(DualBinaryTest, GroupsOf64TakeTwoAndAHalfBits) {
  ASSERT_OK_AND_ASSIGN(const auto plain,
                       NewDualBinary(Example(16, 128, 64, false)));
  EXPECT_EQ(plain->bits_per_weight(), 2.5);
  ASSERT_OK_AND_ASSIGN(const auto mirrored,
                       NewDualBinary(Example(16, 128, 64, true)));
  EXPECT_EQ(mirrored->bits_per_weight(), 2.5 + 1.0 / 64);
}

// y = high (B1 x) + low (B2 x): sums of the inputs that the planes select, and
// two multiplications per group.
TEST_F(DualBinaryTest, ProductOfBitPlanesIsThatOfTheWeight) {
  const DualBinaryWeights w = Example(19, 64, 16, true);
  ASSERT_OK_AND_ASSIGN(const auto linear, NewDualBinary(w));
  Tensor x = Tensor::Uninitialized({5, 64});
  std::mt19937_64 engine(1);
  for (float& v : x.values()) {
    v = static_cast<float>(static_cast<double>(engine() >> 11) * 0x1p-52 - 1);
  }
  const Tensor y = linear->Multiply(x, ctx_);
  const Tensor decoded = linear->Decode(ctx_);
  for (int64_t n = 0; n < 5; ++n) {
    for (int64_t r = 0; r < 19; ++r) {
      double sum = 0, size = 0;
      for (int64_t g = 0; g < 4; ++g) {
        double high = 0, low = 0;
        for (int64_t c = g * 16; c < g * 16 + 16; ++c) {
          const int code = w.codes[static_cast<size_t>(r * 64 + c)];
          if ((code & 1) != 0) high += x.row(n)[c];
          if ((code & 2) != 0) low += x.row(n)[c];
        }
        const size_t i = static_cast<size_t>(r * 4 + g);
        const double value = w.highs[i] * high + w.lows[i] * low;
        sum += w.mirrored[i] != 0 ? -value : value;
      }
      for (int64_t c = 0; c < 64; ++c) {
        size += std::abs(double{x.row(n)[c]} * decoded.row(r)[c]);
      }
      EXPECT_NEAR(y.row(n)[r], sum, 1e-6 * size);
    }
  }
}

TEST_F(DualBinaryTest, BytesOfTheLayoutAreGolden) {
  // The persisted name stands for exactly these bytes.
  DualBinaryWeights w;
  w.rows = 2;
  w.cols = 10;
  w.group_size = 5;
  w.codes = {0, 1, 2, 3, 0, 1, 2, 3, 1, 2,  //
             3, 3, 0, 0, 1, 0, 0, 0, 2, 1};
  w.highs = {1, 2, 0.5f, 4};
  w.lows = {-0.5f, -1, -0.25f, -2};
  w.mirrored = {0, 1, 0, 1};
  ASSERT_OK_AND_ASSIGN(auto linear, NewDualBinary(w));
  const SavedLayer stored(*linear);
  ASSERT_EQ(stored.tensors.size(), 5u);
  EXPECT_EQ(stored.tensors[0].name, "l.high_bits");
  // 2 + 8 + 32 + 128, 1; 1 + 2 + 16, 2.
  EXPECT_EQ(stored.tensors[0].bytes, std::string("\xAA\x01\x13\x02", 4));
  EXPECT_THAT(stored.tensors[0].shape, ElementsAre(2, 2));
  EXPECT_EQ(stored.tensors[1].name, "l.low_bits");
  // 4 + 8 + 64 + 128, 2; 1 + 2, 1.
  EXPECT_EQ(stored.tensors[1].bytes, std::string("\xCC\x02\x03\x01", 4));
  EXPECT_EQ(stored.tensors[2].name, "l.highs");
  EXPECT_EQ(stored.tensors[2].bytes,
            std::string("\x00\x3C\x00\x40\x00\x38\x00\x44", 8));
  EXPECT_EQ(stored.tensors[3].name, "l.lows");
  EXPECT_EQ(stored.tensors[3].bytes,
            std::string("\x00\xB8\x00\xBC\x00\xB4\x00\xC0", 8));
  EXPECT_EQ(stored.tensors[4].name, "l.mirrored");
  EXPECT_EQ(stored.tensors[4].bytes, "\x0A");
  EXPECT_EQ(linear->layout(), "dual-binary.v1");
  EXPECT_EQ(stored.header.dump(),
            "{\"group_index\":false,\"group_size\":5,\"layout\":"
            "\"dual-binary.v1\",\"mirrored\":true}");
  w.mirrored.clear();
  ASSERT_OK_AND_ASSIGN(linear, NewDualBinary(w));
  EXPECT_EQ(SavedLayer(*linear).tensors.size(), 4u);
}

TEST_F(DualBinaryTest, WrongWeightsAreRefused) {
  const DualBinaryWeights good = Example(3, 12, 4, true);
  const auto expect = [](const DualBinaryWeights& bad, const char* fault) {
    EXPECT_THAT(NewDualBinary(bad), StatusIs(kInvalid, HasSubstr(fault)));
  };
  auto bad = good;
  bad.codes[3] = 4;
  expect(bad, "code 4");
  bad = good;
  bad.codes.pop_back();
  expect(bad, "35");
  bad = good;
  bad.highs.pop_back();
  expect(bad, "expected 9 high and low levels and mirrored groups, got 8, 9");
  bad = good;
  bad.mirrored.pop_back();
  expect(bad, "9 and 8");
  bad = good;
  bad.mirrored[0] = 2;
  expect(bad, "mirrored entry 2");
  bad = good;
  bad.highs[1] = 0.7f;
  expect(bad, "high level 0.7");
  bad = good;
  bad.lows[1] = NAN;
  expect(bad, "low level nan");
  bad = good;
  bad.highs[2] = 0;
  expect(bad, "levels 0 and");
  bad = good;
  bad.lows[2] = 0;
  expect(bad, "out of order");
  bad = good;
  bad.lows[2] = -bad.highs[2];
  expect(bad, "out of order");
  bad = good;
  bad.highs[0] = -1;
  bad.lows[0] = 0.5f;
  expect(bad, "levels -1 and 0.5");
  bad = good;
  bad.group_size = 5;
  expect(bad, "does not divide");
  bad = good;
  bad.group_index.assign(12, 3);
  expect(bad, "not in 0..2");
}

TEST_F(DualBinaryTest, DamagedFilesAreRefusedByLayerAndFault) {
  ASSERT_OK_AND_ASSIGN(const auto linear,
                       NewDualBinary(Example(3, 12, 4, true)));
  const SavedLayer good(*linear);
  const auto expect = [](const SavedLayer& bad, const char* fault,
                         absl::StatusCode code = kInvalid) {
    EXPECT_THAT(bad.Load(), StatusIs(code, testing::AllOf(HasSubstr("layer l"),
                                                          HasSubstr(fault))));
  };
  SavedLayer bad = good;
  bad.part("high_bits").shape = {6};
  expect(bad, "high_bits is U8 [6]");
  bad = good;
  bad.part("low_bits").dtype = DType::kI8;
  expect(bad, "low_bits is I8");
  bad = good;
  bad.part("highs").bytes[1] = '\x7C';
  expect(bad, "highs inf");
  bad = good;
  bad.part("highs").bytes[1] = '\x00';
  expect(bad, "out of order");
  bad = good;
  bad.part("mirrored").shape = {1};
  expect(bad, "mirrored is U8 [1]");
  bad = good;
  bad.header["mirrored"] = 1;
  expect(bad, "mirrored is not true or false");
  bad = good;
  bad.header["group_size"] = 5;
  expect(bad, "group_size 5");
  bad = good;
  bad.header["group_index"] = true;
  expect(bad, "l.group_index", absl::StatusCode::kNotFound);
  bad = good;
  bad.tensors.pop_back();
  expect(bad, "l.mirrored", absl::StatusCode::kNotFound);
}

TEST_F(DualBinaryTest, LevelsCanBeTrained) {
  for (const bool mirrored : {false, true}) {
    DualBinaryWeights w = Example(6, 16, 8, mirrored);
    for (int32_t c = 0; c < 16; ++c) w.group_index.push_back(c % 2);
    ASSERT_OK_AND_ASSIGN(const auto linear, NewDualBinary(w));
    test::ExpectParametersSayWhatIsStored(*linear, ctx_);
    // A level's gradient is the sum over the weights that it is part of.
    const auto tunable = linear->Tunable();
    GradientTape tape(ctx_);
    std::vector<Tensor> watched;
    for (const Tensor& p : tunable->Parameters()) {
      watched.push_back(tape.Watch(p));
    }
    Tensor seed = Tensor::Uninitialized({6, 16});
    for (int64_t i = 0; i < seed.size(); ++i) {
      seed.data()[i] = static_cast<float>(i % 7) - 3;
    }
    ASSERT_THAT(tape.Backward({{tunable->Weight(watched, ctx_), seed}}),
                IsOk());
    for (int plane = 0; plane < 2; ++plane) {
      const Tensor gradient = tape.Gradient(watched[plane]);
      for (int64_t r = 0; r < 6; ++r) {
        double sums[2] = {0, 0};
        for (int64_t c = 0; c < 16; ++c) {
          if (((w.codes[static_cast<size_t>(r * 16 + c)] >> plane) & 1) != 0) {
            sums[c % 2] += seed.row(r)[c];
          }
        }
        EXPECT_EQ(gradient.row(r)[0], sums[0]);
        EXPECT_EQ(gradient.row(r)[1], sums[1]);
      }
    }
  }
}

// Whatever a step made of them, levels come back to an order that can be
// stored; those that are in order stay.
TEST_F(DualBinaryTest, ProjectionKeepsTheOrderOfLevels) {
  DualBinaryWeights w = Example(1, 16, 1, true);
  ASSERT_OK_AND_ASSIGN(const auto linear, NewDualBinary(w));
  const auto tunable = linear->Tunable();
  std::vector<Tensor> levels = tunable->Parameters();
  tunable->Project(absl::MakeSpan(levels));
  const std::vector<Tensor> start = tunable->Parameters();
  for (size_t p = 0; p < 2; ++p) {
    EXPECT_THAT(levels[p].values(),
                testing::ElementsAreArray(start[p].values()));
  }
  const float values[] = {-3, 0,      1e-9f,    3e-8f, 2e-7f,
                          1,  1.001f, 65504.0f, 1e9f,  -1e9f};
  for (const float high : values) {
    for (const float low : values) {
      for (Tensor* t : {&levels[0], &levels[1]}) {
        std::fill(t->values().begin(), t->values().end(),
                  t == &levels[0] ? high : -low);
      }
      tunable->Project(absl::MakeSpan(levels));
      EXPECT_THAT(tunable->Freeze(levels, ctx_), IsOk()) << high << " " << low;
    }
  }
  // Equal levels are parted by the least there is.
  for (int64_t i = 0; i < 16; ++i) {
    const float sign = w.mirrored[static_cast<size_t>(i)] != 0 ? -1.0f : 1.0f;
    levels[0].data()[i] = sign;
    levels[1].data()[i] = -sign;
  }
  tunable->Project(absl::MakeSpan(levels));
  EXPECT_EQ(std::abs(levels[0].data()[0]), 1.0f);
  EXPECT_EQ(std::abs(levels[1].data()[0]), 1.0f - 0x1p-11f);
}

}  // namespace
}  // namespace quantd
