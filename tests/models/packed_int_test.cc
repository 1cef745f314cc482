#include "models/layouts/packed_int.h"

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
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

PackedIntWeights Example(int bits, bool symmetric, bool indexed) {
  std::mt19937_64 engine(static_cast<uint64_t>(bits));
  PackedIntWeights w;
  w.rows = 3;
  w.cols = 12;
  w.bits = bits;
  w.group_size = 4;
  w.symmetric = symmetric;
  const uint64_t codes = uint64_t{1} << bits;
  for (int i = 0; i < 36; ++i) {
    w.codes.push_back(static_cast<uint8_t>(engine() % codes));
  }
  for (int i = 0; i < 9; ++i) {
    w.scales.push_back(0.25f * static_cast<float>(i + 1));
    w.zeros.push_back(static_cast<uint8_t>(engine() % codes));
  }
  if (indexed) {
    for (int i = 0; i < 12; ++i) w.group_index.push_back((i * 7) % 3);
  }
  return w;
}

class PackedIntTest : public testing::Test {
 protected:
  // Keeps saved tensors and looks them up.
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Load(
      const nlohmann::json& header) {
    return LoadLayer(tensors_, header, 3, 12);
  }

  std::vector<TensorToWrite> tensors_;
  std::unique_ptr<Device> device_ = NewCpuDevice(1);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(PackedIntTest, DecodesByItsDefinitionAndSurvivesSaving) {
  for (int bits = 2; bits <= 8; ++bits) {
    for (bool symmetric : {false, true}) {
      for (bool indexed : {false, true}) {
        const PackedIntWeights w = Example(bits, symmetric, indexed);
        ASSERT_OK_AND_ASSIGN(const auto linear, NewPackedInt(w));
        const Tensor decoded = linear->Decode(ctx_);
        for (int r = 0; r < 3; ++r) {
          for (int c = 0; c < 12; ++c) {
            const int g = indexed ? w.group_index[c] : c / 4;
            const int zero =
                symmetric ? 1 << (bits - 1) : int{w.zeros[r * 3 + g]};
            ASSERT_EQ(decoded.row(r)[c],
                      w.scales[r * 3 + g] *
                          static_cast<float>(w.codes[r * 12 + c] - zero));
          }
        }
        tensors_.clear();
        const nlohmann::json header = linear->Save("l", &tensors_);
        uint64_t bytes = 0;
        for (const TensorToWrite& t : tensors_) bytes += t.bytes.size();
        EXPECT_EQ(linear->stored_bits(), 8 * bytes);
        ASSERT_OK_AND_ASSIGN(const auto loaded, Load(header));
        const Tensor again = loaded->Decode(ctx_);
        for (int64_t i = 0; i < decoded.size(); ++i) {
          ASSERT_EQ(again.data()[i], decoded.data()[i]);
        }
      }
    }
  }
}

TEST_F(PackedIntTest, BytesOfTheLayoutAreGolden) {
  // The persisted name stands for exactly these bytes.
  PackedIntWeights w;
  w.rows = 2;
  w.cols = 4;
  w.bits = 3;
  w.group_size = 2;
  w.codes = {1, 2, 3, 4, 7, 0, 5, 6};
  w.scales = {1, 0.5f, 2, 0.25f};
  w.zeros = {1, 2, 3, 4};
  ASSERT_OK_AND_ASSIGN(const auto linear, NewPackedInt(w));
  linear->Save("l", &tensors_);
  ASSERT_EQ(tensors_.size(), 3u);
  EXPECT_EQ(tensors_[0].name, "l.codes");
  // 1 + 2*8 + 3*64 + 4*512 = 0x08D1; 7 + 0*8 + 5*64 + 6*512 = 0x0D47.
  EXPECT_EQ(tensors_[0].bytes, std::string("\xD1\x08\x47\x0D", 4));
  EXPECT_EQ(tensors_[1].bytes,
            std::string("\x00\x3C\x00\x38\x00\x40\x00\x34", 8));
  // One stream over all rows: 1 + 2*8 + 3*64 + 4*512.
  EXPECT_EQ(tensors_[2].bytes, std::string("\xD1\x08", 2));
  EXPECT_EQ(linear->layout(), "packed-int.v1");
}

TEST_F(PackedIntTest, WrongWeightsAreRefused) {
  const PackedIntWeights good = Example(3, false, true);
  auto bad = good;
  bad.codes[5] = 8;
  EXPECT_THAT(NewPackedInt(bad),
              StatusIs(kInvalid, HasSubstr("code 8 exceeds 7")));
  bad = good;
  bad.zeros[0] = 9;
  EXPECT_THAT(NewPackedInt(bad), StatusIs(kInvalid, HasSubstr("zero point 9")));
  bad = good;
  bad.scales[1] = 0.1f;
  EXPECT_THAT(NewPackedInt(bad), StatusIs(kInvalid, HasSubstr("F16")));
  bad = good;
  bad.scales[1] = INFINITY;
  EXPECT_THAT(NewPackedInt(bad), StatusIs(kInvalid, HasSubstr("F16")));
  bad = good;
  bad.group_index[3] = 3;
  EXPECT_THAT(NewPackedInt(bad), StatusIs(kInvalid, HasSubstr("not in 0..2")));
  bad = good;
  bad.group_size = 5;
  EXPECT_THAT(NewPackedInt(bad),
              StatusIs(kInvalid, HasSubstr("does not divide")));
  bad = good;
  bad.bits = 9;
  EXPECT_THAT(NewPackedInt(bad), StatusIs(kInvalid, HasSubstr("2..8")));
  bad = good;
  bad.codes.pop_back();
  EXPECT_THAT(NewPackedInt(bad), StatusIs(kInvalid, HasSubstr("codes")));
}

TEST_F(PackedIntTest, DamagedFilesAreRefusedByLayerAndFault) {
  ASSERT_OK_AND_ASSIGN(const auto linear,
                       NewPackedInt(Example(3, false, true)));
  const nlohmann::json header = linear->Save("l", &tensors_);
  const auto saved = tensors_;
  auto expect = [&](const nlohmann::json& h, const char* fault,
                    absl::StatusCode code = kInvalid) {
    EXPECT_THAT(Load(h), StatusIs(code, testing::AllOf(HasSubstr("layer l"),
                                                       HasSubstr(fault))));
    tensors_ = saved;
  };
  nlohmann::json h = header;
  h["layout"] = "packed-int.v9";
  expect(h, "packed-int.v9", absl::StatusCode::kUnimplemented);
  h = header;
  h.erase("layout");
  expect(h, "no layout");
  h = header;
  h["bits"] = 4;
  expect(h, "codes is U8 [3, 5], expected U8 [3, 6]");
  h = header;
  h["bits"] = 99;
  expect(h, "bits 99");
  h = header;
  h["group_size"] = 0;
  expect(h, "group_size 0");
  h = header;
  h["group_size"] = "4";
  expect(h, "group_size is not an integer");
  h = header;
  h["symmetric"] = 0;
  expect(h, "symmetric");
  tensors_[1].dtype = DType::kBF16;
  expect(header, "scales is BF16");
  tensors_[1].bytes[1] = '\x7C';  // infinity
  expect(header, "F16");
  tensors_[3].bytes[0] = 77;
  expect(header, "group_index 77");
  tensors_.pop_back();
  expect(header, "l.group_index", absl::StatusCode::kNotFound);
}

TEST_F(PackedIntTest, MultiplyIsTheProductWithTheDecodedWeight) {
  ASSERT_OK_AND_ASSIGN(const auto linear,
                       NewPackedInt(Example(4, false, false)));
  const Tensor w = linear->Decode(ctx_);
  Tensor x = Tensor::Zeros({1, 12});
  x.row(0)[5] = 2;
  const Tensor y = linear->Multiply(x, ctx_);
  for (int r = 0; r < 3; ++r) EXPECT_EQ(y.row(0)[r], 2 * w.row(r)[5]);
}

}  // namespace
}  // namespace quantd
