#include "models/layouts/mixed_int.h"

#include <cmath>
#include <memory>
#include <random>

#include "gmock/gmock.h"
#include "tests/models/saved_layer.h"
#include "tests/models/tunable_checks.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::SavedLayer;
using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// Three rows of four groups of three.
MixedIntWeights Example(const std::vector<uint8_t>& bits, bool symmetric) {
  std::mt19937_64 engine(bits.size() + bits[0]);
  MixedIntWeights w;
  w.rows = 3;
  w.cols = 12;
  w.group_size = 3;
  w.symmetric = symmetric;
  w.bits = bits;
  for (int r = 0; r < 3; ++r) {
    for (int c = 0; c < 12; ++c) {
      w.codes.push_back(
          static_cast<uint8_t>(engine() % (1u << w.bits_of(r, c / 3))));
    }
    for (int g = 0; g < 4; ++g) {
      w.scales.push_back(0.25f * static_cast<float>(1 + r * 4 + g));
      w.zeros.push_back(
          static_cast<uint8_t>(engine() % (1u << w.bits_of(r, g))));
      w.means.push_back(0.5f * static_cast<float>(g - r));
    }
  }
  return w;
}

std::vector<std::vector<uint8_t>> Widths() {
  return {{2, 3, 4, 5},
          {1, 2, 3, 2},
          {6, 7, 8, 1},
          {1, 1, 1, 1},
          {2, 1, 3, 4, 8, 7, 6, 5, 1, 1, 2, 2}};
}

class MixedIntTest : public testing::Test {
 protected:
  std::unique_ptr<Device> device_ = NewCpuDevice(1);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(MixedIntTest, ScalesCanBeTuned) {
  for (const auto& bits : Widths()) {
    for (bool symmetric : {false, true}) {
      ASSERT_OK_AND_ASSIGN(const auto linear,
                           NewMixedInt(Example(bits, symmetric)));
      test::ExpectParametersSayWhatIsStored(*linear, ctx_);
      test::ExpectCodesCanBeChosen(*linear, ctx_);
    }
  }
}

TEST_F(MixedIntTest, DecodesByItsDefinitionAndSurvivesSaving) {
  for (const auto& bits : Widths()) {
    for (bool symmetric : {false, true}) {
      const MixedIntWeights w = Example(bits, symmetric);
      ASSERT_OK_AND_ASSIGN(const auto linear, NewMixedInt(w));
      const Tensor decoded = linear->Decode(ctx_);
      for (int r = 0; r < 3; ++r) {
        for (int c = 0; c < 12; ++c) {
          const int i = r * 4 + c / 3;
          const int b = bits.size() == 4 ? bits[c / 3] : bits[i];
          const int code = w.codes[r * 12 + c];
          const int zero = symmetric ? 1 << (b - 1) : int{w.zeros[i]};
          const float mean = symmetric ? 0.0f : w.means[i];
          ASSERT_EQ(decoded.row(r)[c],
                    b == 1
                        ? mean + w.scales[i] * static_cast<float>(2 * code - 1)
                        : w.scales[i] * static_cast<float>(code - zero));
        }
      }
      const SavedLayer stored(*linear);
      EXPECT_EQ(linear->stored_bits(), stored.size_bits());
      EXPECT_EQ(linear->stored_bits(),
                8 * MixedIntBytes(3, 12, 3, symmetric, bits));
      ASSERT_OK_AND_ASSIGN(const auto loaded, stored.Load());
      EXPECT_EQ(loaded->stored_bits(), linear->stored_bits());
      const Tensor again = loaded->Decode(ctx_);
      for (int64_t i = 0; i < decoded.size(); ++i) {
        ASSERT_EQ(again.data()[i], decoded.data()[i]);
      }
      EXPECT_EQ(SavedLayer(*loaded).tensors[1].bytes, stored.tensors[1].bytes);
    }
  }
}

TEST_F(MixedIntTest, BytesOfTheLayoutAreGolden) {
  // The persisted name stands for exactly these bytes.
  MixedIntWeights w;
  w.rows = 2;
  w.cols = 6;
  w.group_size = 2;
  w.bits = {3, 1, 2};
  w.codes = {1, 7, 1, 0, 2, 3, 4, 5, 0, 1, 3, 1};
  w.scales = {1, 0.5f, 2, 0.25f, 4, 1};
  w.zeros = {5, 0, 1, 3, 0, 2};
  w.means = {0, -0.5f, 0, 0, 2, 0};
  ASSERT_OK_AND_ASSIGN(const auto linear, NewMixedInt(w));
  SavedLayer stored(*linear);
  ASSERT_EQ(stored.tensors.size(), 5u);
  // 2 + 0*8 + 1*64.
  EXPECT_EQ(stored.tensors[0].name, "l.widths");
  EXPECT_EQ(stored.tensors[0].bytes, std::string("\x42\x00", 2));
  // 1 + 7*8 + 1*64 + 0*128 + 2*256 + 3*1024 = 0x0E79;
  // 4 + 5*8 + 0*64 + 1*128 + 3*256 + 1*1024 = 0x07AC.
  EXPECT_EQ(stored.tensors[1].name, "l.codes");
  EXPECT_EQ(stored.tensors[1].bytes, std::string("\x79\x0E\xAC\x07", 4));
  EXPECT_EQ(
      stored.tensors[2].bytes,
      std::string("\x00\x3C\x00\x38\x00\x40\x00\x34\x00\x44\x00\x3C", 12));
  // 5 + 1*8 + 3*32 + 2*256 = 0x026D.
  EXPECT_EQ(stored.tensors[3].name, "l.zeros");
  EXPECT_EQ(stored.tensors[3].bytes, std::string("\x6D\x02", 2));
  EXPECT_EQ(stored.tensors[4].name, "l.means");
  EXPECT_EQ(stored.tensors[4].bytes, std::string("\x00\xB8\x00\x40", 4));
  EXPECT_EQ(linear->layout(), "mixed-int.v1");
  EXPECT_EQ(stored.header.dump(),
            "{\"group_size\":2,\"layout\":\"mixed-int.v1\","
            "\"row_widths\":false,\"symmetric\":false}");
}

TEST_F(MixedIntTest, WidthsCostThreeBitsPerGroupAndAreOtherwisePackedExactly) {
  // 64 rows, 8 groups of 32, widths averaging 2 without 1-bit groups.
  const std::vector<uint8_t> bits(8, 2);
  EXPECT_EQ(8 * MixedIntBytes(64, 256, 32, false, bits),
            64u * 256 * 2 + 64 * 8 * (16 + 2) + 8 * 3);
  // A 1-bit group has a mean of 16 bits in place of a zero point.
  const std::vector<uint8_t> mixed = {1, 3, 2, 2, 2, 2, 2, 2};
  EXPECT_EQ(8 * MixedIntBytes(64, 256, 32, false, mixed),
            64u * 256 * 2 + 64 * (8 * 16 + 6 * 2 + 3 + 16) + 8 * 3);
}

TEST_F(MixedIntTest, WrongWeightsAreRefused) {
  const MixedIntWeights good = Example({1, 2, 3, 4}, false);
  auto bad = good;
  bad.bits[2] = 9;
  EXPECT_THAT(NewMixedInt(bad), StatusIs(kInvalid, HasSubstr("bits 9")));
  bad = good;
  bad.bits[2] = 0;
  EXPECT_THAT(NewMixedInt(bad), StatusIs(kInvalid, HasSubstr("bits 0")));
  bad = good;
  bad.bits.pop_back();
  EXPECT_THAT(NewMixedInt(bad),
              StatusIs(kInvalid, HasSubstr("expected 4 or 12 widths, got 3")));
  bad = good;
  bad.codes[1] = 2;
  EXPECT_THAT(NewMixedInt(bad),
              StatusIs(kInvalid, HasSubstr("code 2 exceeds 1")));
  bad = good;
  bad.zeros[2] = 8;
  EXPECT_THAT(NewMixedInt(bad),
              StatusIs(kInvalid, HasSubstr("zero point 8 exceeds 7")));
  bad = good;
  bad.scales[1] = 0.1f;
  EXPECT_THAT(NewMixedInt(bad), StatusIs(kInvalid, HasSubstr("scale 0.1")));
  bad = good;
  bad.means[4] = INFINITY;
  EXPECT_THAT(NewMixedInt(bad), StatusIs(kInvalid, HasSubstr("mean inf")));
  bad = good;
  bad.group_size = 5;
  EXPECT_THAT(NewMixedInt(bad),
              StatusIs(kInvalid, HasSubstr("does not divide")));
  bad = good;
  bad.codes.pop_back();
  EXPECT_THAT(NewMixedInt(bad),
              StatusIs(kInvalid, HasSubstr("expected 36 codes")));
  bad = good;
  bad.means.pop_back();
  EXPECT_THAT(NewMixedInt(bad),
              StatusIs(kInvalid, HasSubstr("expected 12 means")));
}

TEST_F(MixedIntTest, DamagedFilesAreRefusedByLayerAndFault) {
  ASSERT_OK_AND_ASSIGN(const auto linear,
                       NewMixedInt(Example({1, 2, 3, 4}, false)));
  const SavedLayer good(*linear);
  auto expect = [](const SavedLayer& bad, const char* fault,
                   absl::StatusCode code = kInvalid) {
    EXPECT_THAT(bad.Load(), StatusIs(code, testing::AllOf(HasSubstr("layer l"),
                                                          HasSubstr(fault))));
  };
  SavedLayer bad = good;
  bad.header["group_size"] = 0;
  expect(bad, "group_size 0");
  bad = good;
  bad.header["group_size"] = 7;
  expect(bad, "group_size 7");
  bad = good;
  bad.header["group_size"] = 6;
  expect(bad, "widths is U8 [2], expected U8 [1]");
  bad = good;
  bad.header.erase("symmetric");
  expect(bad, "symmetric is not true or false");
  bad = good;
  bad.header["row_widths"] = true;
  expect(bad, "widths is U8 [2], expected U8 [5]");
  bad = good;
  bad.part("widths").bytes[0] = '\xFF';
  expect(bad, "codes is U8 [12]");
  bad = good;
  bad.part("scales").bytes[1] = '\x7C';
  expect(bad, "scales inf");
  bad = good;
  bad.part("means").bytes[1] = '\x7E';
  expect(bad, "means nan");
  bad = good;
  bad.part("zeros").shape = {9};
  expect(bad, "zeros is U8 [9]");
  bad = good;
  bad.tensors.pop_back();
  expect(bad, "l.means", absl::StatusCode::kNotFound);
}

TEST_F(MixedIntTest, DecodingDoesNotDependOnTheNumberOfThreads) {
  MixedIntWeights w;
  w.rows = 70;
  w.cols = 8;
  w.group_size = 4;
  w.bits = {1, 5};
  for (int i = 0; i < 70 * 8; ++i) {
    w.codes.push_back(static_cast<uint8_t>(i % 8 < 4 ? i % 2 : i % 32));
  }
  w.scales.assign(140, 0.5f);
  w.zeros.assign(140, 3);
  w.means.assign(140, 1.0f);
  ASSERT_OK_AND_ASSIGN(const auto linear, NewMixedInt(w));
  const Tensor one = linear->Decode(ctx_);
  const auto device = NewCpuDevice(3);
  ExecutionContext ctx(device.get());
  const Tensor three = linear->Decode(ctx);
  for (int64_t i = 0; i < one.size(); ++i) {
    ASSERT_EQ(one.data()[i], three.data()[i]);
  }
}

}  // namespace
}  // namespace quantd
