#include "models/layouts/row_codebook.h"

#include <cmath>
#include <memory>
#include <random>

#include "gmock/gmock.h"
#include "nlohmann/json.hpp"
#include "tests/models/saved_layer.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::LoadLayer;
using ::quantd::test::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

RowCodebookWeights Example(int bits) {
  std::mt19937_64 engine(static_cast<uint64_t>(bits));
  RowCodebookWeights w;
  w.rows = 3;
  w.cols = 11;
  w.bits = bits;
  for (int i = 0; i < 33; ++i) {
    w.codes.push_back(static_cast<uint8_t>(engine() % (uint64_t{1} << bits)));
  }
  for (int i = 0; i < 3 << bits; ++i) {
    w.codebook.push_back(0.25f * static_cast<float>(i % 40 - 20));
  }
  return w;
}

class RowCodebookTest : public testing::Test {
 protected:
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Load(
      const nlohmann::json& header) {
    return LoadLayer(tensors_, header, 3, 11);
  }

  std::vector<TensorToWrite> tensors_;
  std::unique_ptr<Device> device_ = NewCpuDevice(1);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(RowCodebookTest, DecodesByItsDefinitionAndSurvivesSaving) {
  for (int bits = 1; bits <= 8; ++bits) {
    const RowCodebookWeights w = Example(bits);
    ASSERT_OK_AND_ASSIGN(const auto linear, NewRowCodebook(w));
    const Tensor decoded = linear->Decode(ctx_);
    for (int r = 0; r < 3; ++r) {
      for (int c = 0; c < 11; ++c) {
        ASSERT_EQ(
            decoded.row(r)[c],
            w.codebook[static_cast<size_t>((r << bits) + w.codes[r * 11 + c])]);
      }
    }
    tensors_.clear();
    const nlohmann::json header = linear->Save("l", &tensors_);
    uint64_t bytes = 0;
    for (const TensorToWrite& t : tensors_) bytes += t.bytes.size();
    EXPECT_EQ(linear->stored_bits(), 8 * bytes);
    EXPECT_EQ(RowCodebookBytes(3, 11, bits), bytes);
    ASSERT_OK_AND_ASSIGN(const auto loaded, Load(header));
    const Tensor again = loaded->Decode(ctx_);
    for (int64_t i = 0; i < decoded.size(); ++i) {
      ASSERT_EQ(again.data()[i], decoded.data()[i]);
    }
  }
}

TEST_F(RowCodebookTest, BytesOfTheLayoutAreGolden) {
  RowCodebookWeights w;
  w.rows = 2;
  w.cols = 5;
  w.bits = 2;
  w.codes = {1, 2, 3, 0, 1, 3, 3, 0, 2, 2};
  w.codebook = {-1, 0.5f, 1, 2, 0, 0.25f, -0.25f, 4};
  ASSERT_OK_AND_ASSIGN(const auto linear, NewRowCodebook(w));
  const nlohmann::json header = linear->Save("l", &tensors_);
  EXPECT_EQ(header.dump(), R"({"bits":2,"layout":"row-codebook.v1"})");
  ASSERT_EQ(tensors_.size(), 2u);
  EXPECT_EQ(tensors_[0].name, "l.codes");
  // 1 + 2*4 + 3*16 + 0*64, 1; 3 + 3*4 + 0*16 + 2*64, 2.
  EXPECT_EQ(tensors_[0].bytes, std::string("\x39\x01\x8F\x02", 4));
  EXPECT_EQ(tensors_[1].name, "l.codebook");
  EXPECT_EQ(tensors_[1].bytes, std::string("\x00\xBC\x00\x38\x00\x3C\x00\x40"
                                           "\x00\x00\x00\x34\x00\xB4\x00\x44",
                                           16));
}

TEST_F(RowCodebookTest, WrongWeightsAreRefused) {
  const RowCodebookWeights good = Example(2);
  auto bad = good;
  bad.codes[5] = 4;
  EXPECT_THAT(NewRowCodebook(bad),
              StatusIs(kInvalid, HasSubstr("code 4 exceeds 3")));
  bad = good;
  bad.codes.pop_back();
  EXPECT_THAT(NewRowCodebook(bad), StatusIs(kInvalid, HasSubstr("33 codes")));
  bad = good;
  bad.codebook.push_back(0);
  EXPECT_THAT(NewRowCodebook(bad),
              StatusIs(kInvalid, HasSubstr("12 codebook values, got 13")));
  bad = good;
  bad.codebook[3] = 0.1f;
  EXPECT_THAT(NewRowCodebook(bad), StatusIs(kInvalid, HasSubstr("F16")));
  bad = good;
  bad.codebook[3] = NAN;
  EXPECT_THAT(NewRowCodebook(bad), StatusIs(kInvalid, HasSubstr("F16")));
  bad = good;
  bad.bits = 0;
  EXPECT_THAT(NewRowCodebook(bad), StatusIs(kInvalid, HasSubstr("1..8")));
}

TEST_F(RowCodebookTest, DamagedFilesAreRefusedByLayerAndFault) {
  ASSERT_OK_AND_ASSIGN(const auto linear, NewRowCodebook(Example(3)));
  const nlohmann::json header = linear->Save("l", &tensors_);
  const auto saved = tensors_;
  auto expect = [&](const nlohmann::json& h, const char* fault,
                    absl::StatusCode code = kInvalid) {
    EXPECT_THAT(Load(h),
                StatusIs(code, AllOf(HasSubstr("layer l"), HasSubstr(fault))));
    tensors_ = saved;
  };
  nlohmann::json h = header;
  h["bits"] = 4;
  expect(h, "codes is U8 [3, 5], expected U8 [3, 6]");
  h["bits"] = 60;
  expect(h, "bits 60");
  h["bits"] = "3";
  expect(h, "bits is not an integer");
  tensors_[1].dtype = DType::kBF16;
  expect(header, "codebook is BF16");
  tensors_[1].bytes[1] = '\x7C';  // infinity
  expect(header, "F16");
  tensors_.pop_back();
  expect(header, "l.codebook", absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace quantd
