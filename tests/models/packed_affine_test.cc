#include "models/layouts/packed_affine.h"

#include <cmath>
#include <memory>
#include <random>

#include "gmock/gmock.h"
#include "tests/models/saved_layer.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::SavedLayer;
using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

PackedAffineWeights Example(int bits) {
  std::mt19937_64 engine(static_cast<uint64_t>(bits));
  PackedAffineWeights w;
  w.rows = 3;
  w.cols = 12;
  w.bits = bits;
  w.group_size = 4;
  for (int i = 0; i < 36; ++i) {
    w.codes.push_back(static_cast<uint8_t>(engine() % (uint64_t{1} << bits)));
  }
  for (int i = 0; i < 9; ++i) {
    w.scales.push_back(0.25f * static_cast<float>(i + 1));
    w.zeros.push_back(1.375f * static_cast<float>(i - 3));
  }
  return w;
}

class PackedAffineTest : public testing::Test {
 protected:
  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(PackedAffineTest, DecodesByItsDefinitionAndSurvivesSaving) {
  for (int bits = 1; bits <= 8; ++bits) {
    const PackedAffineWeights w = Example(bits);
    ASSERT_OK_AND_ASSIGN(const auto linear, NewPackedAffine(w));
    const Tensor decoded = linear->Decode(ctx_);
    for (int r = 0; r < 3; ++r) {
      for (int c = 0; c < 12; ++c) {
        const size_t g = static_cast<size_t>(r * 3 + c / 4);
        const uint8_t code = w.codes[static_cast<size_t>(r * 12 + c)];
        ASSERT_EQ(decoded.row(r)[c],
                  w.scales[g] * (static_cast<float>(code) - w.zeros[g]));
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

TEST_F(PackedAffineTest, BytesOfTheLayoutAreGolden) {
  PackedAffineWeights w;
  w.rows = 2;
  w.cols = 4;
  w.bits = 3;
  w.group_size = 4;
  w.codes = {1, 2, 3, 4, 7, 0, 5, 6};
  w.scales = {1, 0.5f};
  w.zeros = {-1.5f, 3.25f};
  ASSERT_OK_AND_ASSIGN(const auto linear, NewPackedAffine(w));
  const SavedLayer saved(*linear);
  ASSERT_EQ(saved.tensors.size(), 3u);
  EXPECT_EQ(saved.tensors[0].name, "l.codes");
  // 1 + 2*8 + 3*64 + 4*512 = 0x08D1; 7 + 0*8 + 5*64 + 6*512 = 0x0D47.
  EXPECT_EQ(saved.tensors[0].bytes, std::string("\xD1\x08\x47\x0D", 4));
  EXPECT_EQ(saved.tensors[1].name, "l.scales");
  EXPECT_EQ(saved.tensors[1].bytes, std::string("\x00\x3C\x00\x38", 4));
  EXPECT_EQ(saved.tensors[2].name, "l.zeros");
  EXPECT_EQ(saved.tensors[2].bytes, std::string("\x00\xBE\x80\x42", 4));
  EXPECT_EQ(saved.header.dump(),
            R"({"bits":3,"group_size":4,"layout":"packed-affine.v1"})");
}

TEST_F(PackedAffineTest, WrongWeightsAreRefused) {
  const PackedAffineWeights good = Example(3);
  auto bad = good;
  bad.codes[5] = 8;
  EXPECT_THAT(NewPackedAffine(bad),
              StatusIs(kInvalid, HasSubstr("code 8 exceeds 7")));
  bad = good;
  bad.codes.pop_back();
  EXPECT_THAT(NewPackedAffine(bad), StatusIs(kInvalid, HasSubstr("36 codes")));
  bad = good;
  bad.scales[1] = INFINITY;
  EXPECT_THAT(NewPackedAffine(bad), StatusIs(kInvalid, HasSubstr("scale")));
  bad = good;
  bad.zeros[1] = 0.1f;
  EXPECT_THAT(NewPackedAffine(bad), StatusIs(kInvalid, HasSubstr("zero 0.1")));
  bad = good;
  bad.zeros.pop_back();
  EXPECT_THAT(NewPackedAffine(bad),
              StatusIs(kInvalid, HasSubstr("9 scales and zeros")));
  bad = good;
  bad.group_size = 5;
  EXPECT_THAT(NewPackedAffine(bad),
              StatusIs(kInvalid, HasSubstr("does not divide")));
  bad = good;
  bad.bits = 0;
  EXPECT_THAT(NewPackedAffine(bad), StatusIs(kInvalid, HasSubstr("1..8")));
}

TEST_F(PackedAffineTest, DamagedFilesAreRefusedByLayerAndFault) {
  ASSERT_OK_AND_ASSIGN(const auto linear, NewPackedAffine(Example(3)));
  const SavedLayer good(*linear);
  const auto expect = [](const SavedLayer& bad, const char* fault,
                         absl::StatusCode code = kInvalid) {
    EXPECT_THAT(bad.Load(), StatusIs(code, testing::AllOf(HasSubstr("layer l"),
                                                          HasSubstr(fault))));
  };
  SavedLayer bad = good;
  bad.header["bits"] = 4;
  expect(bad, "codes is U8 [3, 5], expected U8 [3, 6]");
  bad = good;
  bad.header["bits"] = -1;
  expect(bad, "bits -1");
  bad = good;
  bad.header.erase("group_size");
  expect(bad, "group_size is not an integer");
  bad = good;
  bad.header["group_size"] = 7;
  expect(bad, "group_size 7");
  bad = good;
  bad.part("zeros").dtype = DType::kBF16;
  expect(bad, "zeros is BF16");
  bad = good;
  bad.part("zeros").bytes[1] = '\x7E';  // NaN
  expect(bad, "zeros nan");
  bad = good;
  bad.tensors.pop_back();
  expect(bad, "l.zeros", absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace quantd
