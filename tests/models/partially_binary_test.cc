#include "models/layouts/partially_binary.h"

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

// `every`: one weight of that many is salient; 0: none.
PartiallyBinaryWeights Example(int64_t rows, int64_t cols, int64_t group_size,
                               int bits, int64_t every) {
  std::mt19937_64 engine(static_cast<uint64_t>(bits + every));
  PartiallyBinaryWeights w;
  w.rows = rows;
  w.cols = cols;
  w.bits = bits;
  w.group_size = group_size;
  for (int64_t i = 0; i < rows * cols; ++i) {
    const bool salient = every > 0 && (i + i / cols) % every == 0;
    w.salient.push_back(salient ? 1 : 0);
    w.codes.push_back(
        static_cast<uint8_t>(engine() % (salient ? 1u << bits : 2u)));
  }
  for (int64_t i = 0; i < rows * (cols / group_size); ++i) {
    w.alphas.push_back(0.25f * static_cast<float>(i + 1));
    w.means.push_back(0.5f - static_cast<float>(i));
  }
  for (int64_t r = 0; r < rows; ++r) {
    w.scales.push_back(0.125f * static_cast<float>(r + 1));
    w.zeros.push_back(static_cast<uint8_t>(engine() % (1u << bits)));
  }
  return w;
}

class PartiallyBinaryTest : public testing::Test {
 protected:
  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(PartiallyBinaryTest, DecodesByItsDefinitionAndSurvivesSaving) {
  for (int bits = 2; bits <= 8; ++bits) {
    for (int64_t every : {0, 1, 2, 5, 40}) {
      PartiallyBinaryWeights w = Example(19, 24, 8, bits, every);
      const bool centered = bits % 2 == 0;
      if (!centered) w.means.clear();
      if (every == 5) {
        for (int i = 0; i < 24; ++i) w.group_index.push_back((i * 7) % 3);
      }
      ASSERT_OK_AND_ASSIGN(const auto linear, NewPartiallyBinary(w));
      const Tensor decoded = linear->Decode(ctx_);
      int64_t salient = 0;
      for (int64_t r = 0; r < 19; ++r) {
        for (int64_t c = 0; c < 24; ++c) {
          const int64_t i = r * 24 + c;
          const int64_t g =
              r * 3 + (w.group_index.empty() ? c / 8 : w.group_index[c]);
          const float mean = centered ? w.means[g] : 0.0f;
          salient += w.salient[i];
          ASSERT_EQ(
              decoded.row(r)[c],
              w.salient[i]
                  ? w.scales[r] * static_cast<float>(w.codes[i] - w.zeros[r])
                  : mean +
                        w.alphas[g] * static_cast<float>(2 * w.codes[i] - 1));
        }
      }
      const SavedLayer stored(*linear);
      EXPECT_EQ(linear->stored_bits(), stored.size_bits());
      EXPECT_EQ(linear->stored_bits(),
                8 * (PartiallyBinaryBytes(19, 24, bits, 8, centered, salient) +
                     4 * w.group_index.size()));
      ASSERT_OK_AND_ASSIGN(const auto loaded, stored.Load());
      const auto unpacked = UnpackPartiallyBinary(*loaded);
      ASSERT_TRUE(unpacked.has_value());
      EXPECT_EQ(unpacked->salient, w.salient);
      EXPECT_EQ(unpacked->codes, w.codes);
      EXPECT_EQ(unpacked->zeros, w.zeros);
      EXPECT_EQ(unpacked->group_index, w.group_index);
      const Tensor again = loaded->Decode(ctx_);
      for (int64_t i = 0; i < decoded.size(); ++i) {
        ASSERT_EQ(again.data()[i], decoded.data()[i]);
      }
    }
  }
}

// Alphas, means and the scales of salient weights; the codes stay.
TEST_F(PartiallyBinaryTest, ParametersCanBeTrained) {
  for (int64_t every : {0, 1, 5}) {
    for (const bool centered : {false, true}) {
      PartiallyBinaryWeights w = Example(7, 24, 8, 4, every);
      if (!centered) w.means.clear();
      if (every == 5) {
        for (int i = 0; i < 24; ++i) w.group_index.push_back((i * 7) % 3);
      }
      ASSERT_OK_AND_ASSIGN(const auto linear, NewPartiallyBinary(w));
      test::ExpectParametersSayWhatIsStored(*linear, ctx_);
      const auto tunable = linear->Tunable();
      std::vector<Tensor> p = tunable->Parameters();
      ASSERT_EQ(p.size(), centered ? 3u : 2u);
      const Tensor before = tunable->Weight(p, ctx_);
      for (float& scale : p.back().values()) scale *= 2;
      const Tensor after = tunable->Weight(p, ctx_);
      for (int64_t i = 0; i < before.size(); ++i) {
        const float factor = w.salient[static_cast<size_t>(i)] != 0 ? 2 : 1;
        ASSERT_EQ(after.data()[i], factor * before.data()[i]);
      }
    }
  }
}

TEST_F(PartiallyBinaryTest, PositionsAreStoredTheSmallerWay) {
  // 8 rows of 800: a bitmap is 800 bytes; a column list 36 and 2 per weight.
  for (const auto& [every, way] : std::vector<std::pair<int64_t, const char*>>{
           {100, "columns"}, {20, "columns"}, {16, "bitmap"}, {2, "bitmap"}}) {
    const PartiallyBinaryWeights w = Example(8, 800, 800, 8, every);
    ASSERT_OK_AND_ASSIGN(const auto linear, NewPartiallyBinary(w));
    const SavedLayer stored(*linear);
    EXPECT_EQ(stored.header["positions"], way) << every;
    EXPECT_EQ(linear->stored_bits(), stored.size_bits());
    ASSERT_OK_AND_ASSIGN(const auto loaded, stored.Load());
    const Tensor a = linear->Decode(ctx_);
    const Tensor b = loaded->Decode(ctx_);
    for (int64_t i = 0; i < a.size(); ++i) ASSERT_EQ(a.data()[i], b.data()[i]);
  }
}

// The card's formula: r + 8 (1 - r) + 1 for the bitmap, and the row's floats.
TEST_F(PartiallyBinaryTest, TenPercentSalientTakesTwoPointSevenBits) {
  const PartiallyBinaryWeights w = Example(10, 400, 400, 8, 10);
  ASSERT_OK_AND_ASSIGN(const auto linear, NewPartiallyBinary(w));
  EXPECT_NEAR(linear->bits_per_weight(), 2.7 + (3 * 16 + 8) / 400.0, 1e-9);
}

TEST_F(PartiallyBinaryTest, BytesOfTheLayoutAreGolden) {
  // The persisted name stands for exactly these bytes.
  PartiallyBinaryWeights w;
  w.rows = 2;
  w.cols = 4;
  w.bits = 3;
  w.group_size = 2;
  w.salient = {0, 1, 0, 0, 1, 1, 0, 0};
  w.codes = {1, 5, 0, 1, 7, 2, 1, 1};
  w.alphas = {1, 0.5f, 2, 0.25f};
  w.means = {0, -1, 0.5f, 4};
  w.scales = {2, 1};
  w.zeros = {3, 6};
  ASSERT_OK_AND_ASSIGN(const auto linear, NewPartiallyBinary(w));
  const SavedLayer stored(*linear);
  ASSERT_EQ(stored.tensors.size(), 6u);
  EXPECT_EQ(stored.tensors[0].name, "l.codes");
  // 1 + 5*2 + 0*16 + 1*32 = 0x2B; then (7 + 2*8 + 1*64 + 1*128) * 64.
  EXPECT_EQ(stored.tensors[0].bytes, "\xEB\x35");
  EXPECT_EQ(stored.tensors[1].name, "l.alphas");
  EXPECT_EQ(stored.tensors[1].bytes,
            std::string("\x00\x3C\x00\x38\x00\x40\x00\x34", 8));
  EXPECT_EQ(stored.tensors[2].name, "l.means");
  EXPECT_EQ(stored.tensors[2].bytes,
            std::string("\x00\x00\x00\xBC\x00\x38\x00\x44", 8));
  EXPECT_EQ(stored.tensors[3].name, "l.scales");
  EXPECT_EQ(stored.tensors[3].bytes, std::string("\x00\x40\x00\x3C", 4));
  EXPECT_EQ(stored.tensors[4].name, "l.zeros");
  EXPECT_EQ(stored.tensors[4].bytes, "\x33");  // 3 + 6*8
  EXPECT_EQ(stored.tensors[5].name, "l.bitmap");
  EXPECT_EQ(stored.tensors[5].bytes, "\x32");  // 2 + 16 + 32
  EXPECT_EQ(linear->layout(), "partially-binary.v1");
  EXPECT_EQ(stored.header.dump(),
            "{\"bits\":3,\"centered\":true,\"group_index\":false,"
            "\"group_size\":2,\"layout\":\"partially-binary.v1\","
            "\"positions\":\"bitmap\"}");
}

TEST_F(PartiallyBinaryTest, BytesOfColumnListsAreGolden) {
  PartiallyBinaryWeights w = Example(2, 256, 256, 8, 0);
  w.salient[3] = w.salient[255] = w.salient[256 + 129] = 1;
  ASSERT_OK_AND_ASSIGN(const auto linear, NewPartiallyBinary(w));
  SavedLayer stored(*linear);
  EXPECT_EQ(stored.part("row_starts").bytes,
            std::string("\0\0\0\0\2\0\0\0\3\0\0\0", 12));
  EXPECT_EQ(stored.part("columns").dtype, DType::kU16);
  EXPECT_EQ(stored.part("columns").bytes,
            std::string("\x03\x00\xFF\x00\x81\x00", 6));
}

TEST_F(PartiallyBinaryTest, WideLayersListColumnsInFourBytes) {
  PartiallyBinaryWeights w = Example(1, 70000, 70000, 8, 0);
  w.salient[69999] = 1;
  ASSERT_OK_AND_ASSIGN(const auto linear, NewPartiallyBinary(w));
  SavedLayer stored(*linear);
  EXPECT_EQ(stored.part("columns").dtype, DType::kU32);
  EXPECT_EQ(stored.part("columns").bytes, std::string("\x6F\x11\x01\x00", 4));
  EXPECT_EQ(linear->stored_bits(), stored.size_bits());
  ASSERT_OK_AND_ASSIGN(const auto loaded, stored.Load());
  EXPECT_EQ(loaded->Decode(ctx_).row(0)[69999],
            linear->Decode(ctx_).row(0)[69999]);
}

TEST_F(PartiallyBinaryTest, WrongWeightsAreRefused) {
  const PartiallyBinaryWeights good = Example(3, 12, 4, 3, 5);
  auto bad = good;
  bad.codes[1] = 2;
  EXPECT_THAT(NewPartiallyBinary(bad),
              StatusIs(kInvalid, HasSubstr("code 2 exceeds 1")));
  bad = good;
  bad.codes[0] = 8;
  EXPECT_THAT(NewPartiallyBinary(bad),
              StatusIs(kInvalid, HasSubstr("code 8 exceeds 7")));
  bad = good;
  bad.salient[4] = 2;
  EXPECT_THAT(NewPartiallyBinary(bad),
              StatusIs(kInvalid, HasSubstr("mask entry 2")));
  bad = good;
  bad.zeros[0] = 9;
  EXPECT_THAT(NewPartiallyBinary(bad),
              StatusIs(kInvalid, HasSubstr("zero point 9")));
  bad = good;
  bad.alphas[1] = 0.1f;
  EXPECT_THAT(NewPartiallyBinary(bad),
              StatusIs(kInvalid, HasSubstr("alpha 0.1")));
  bad = good;
  bad.means[1] = NAN;
  EXPECT_THAT(NewPartiallyBinary(bad),
              StatusIs(kInvalid, HasSubstr("mean nan")));
  bad = good;
  bad.scales[2] = INFINITY;
  EXPECT_THAT(NewPartiallyBinary(bad),
              StatusIs(kInvalid, HasSubstr("scale inf")));
  bad = good;
  bad.group_index.assign(12, 3);
  EXPECT_THAT(NewPartiallyBinary(bad),
              StatusIs(kInvalid, HasSubstr("not in 0..2")));
  bad = good;
  bad.group_index.assign(11, 0);
  EXPECT_THAT(NewPartiallyBinary(bad),
              StatusIs(kInvalid, HasSubstr("11 entries")));
  bad = good;
  bad.group_size = 5;
  EXPECT_THAT(NewPartiallyBinary(bad),
              StatusIs(kInvalid, HasSubstr("does not divide")));
  bad = good;
  bad.bits = 1;
  EXPECT_THAT(NewPartiallyBinary(bad), StatusIs(kInvalid, HasSubstr("2..8")));
  bad = good;
  bad.salient.pop_back();
  EXPECT_THAT(NewPartiallyBinary(bad),
              StatusIs(kInvalid, HasSubstr("36 and 35")));
  bad = good;
  bad.zeros.pop_back();
  EXPECT_THAT(NewPartiallyBinary(bad),
              StatusIs(kInvalid, HasSubstr("3 scales and zeros")));
}

TEST_F(PartiallyBinaryTest, DamagedFilesAreRefusedByLayerAndFault) {
  auto expect = [](const SavedLayer& bad, const char* fault,
                   absl::StatusCode code = kInvalid) {
    EXPECT_THAT(bad.Load(), StatusIs(code, testing::AllOf(HasSubstr("layer l"),
                                                          HasSubstr(fault))));
  };
  ASSERT_OK_AND_ASSIGN(auto linear,
                       NewPartiallyBinary(Example(8, 800, 800, 8, 100)));
  const SavedLayer listed(*linear);
  SavedLayer bad = listed;
  bad.part("columns").bytes[1] = '\x7F';
  expect(bad, "columns: 32512 in row 0 is out of range");
  bad = listed;
  bad.part("columns").bytes[2] = bad.part("columns").bytes[0];
  bad.part("columns").bytes[3] = bad.part("columns").bytes[1];
  expect(bad, "out of order");
  bad = listed;
  bad.part("row_starts").bytes[0] = 1;
  expect(bad, "row_starts 1 of row 0");
  bad = listed;
  bad.part("row_starts").bytes[7] = '\x80';
  expect(bad, "of row 1 is out of order");
  bad = listed;
  bad.part("row_starts").bytes[35] = '\x70';
  expect(bad, "columns is U16 [64]");
  bad = listed;
  bad.header["positions"] = "rows";
  expect(bad, "positions \"rows\"");
  bad = listed;
  bad.header.erase("positions");
  expect(bad, "positions is not a string");
  bad = listed;
  bad.header["bits"] = 9;
  expect(bad, "bits 9");
  bad = listed;
  bad.header["group_size"] = -1;
  expect(bad, "group_size -1");

  ASSERT_OK_AND_ASSIGN(linear, NewPartiallyBinary(Example(3, 12, 4, 3, 5)));
  const SavedLayer mapped(*linear);
  bad = mapped;
  bad.part("bitmap").bytes = "\xFF\xFF\xFF\xFF\x0F";
  expect(bad, "codes is U8");
  bad = mapped;
  bad.part("bitmap").dtype = DType::kI8;
  expect(bad, "bitmap is I8");
  bad = mapped;
  bad.part("alphas").bytes[1] = '\x7C';
  expect(bad, "alphas inf");
  bad = mapped;
  bad.header["group_index"] = true;
  expect(bad, "l.group_index", absl::StatusCode::kNotFound);
  bad = mapped;
  bad.header["centered"] = 1;
  expect(bad, "centered is not true or false");
  bad = mapped;
  bad.part("zeros").shape = {1};
  expect(bad, "zeros is U8 [1]");
  bad = mapped;
  bad.tensors.pop_back();
  expect(bad, "l.bitmap", absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace quantd
