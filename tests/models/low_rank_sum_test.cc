#include "models/layouts/low_rank_sum.h"

#include <cmath>
#include <memory>

#include "gmock/gmock.h"
#include "models/layouts/packed_int.h"
#include "models/layouts/sparse_overlay.h"
#include "nlohmann/json.hpp"
#include "tests/models/saved_layer.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::LoadLayer;
using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

// 2 x 3, decodes to 0 .. 5.
std::shared_ptr<const CompressedLinear> Base() {
  PackedIntWeights w;
  w.rows = 2;
  w.cols = 3;
  w.bits = 4;
  w.group_size = 3;
  for (uint8_t i = 0; i < 6; ++i) w.codes.push_back(i);
  w.scales = {1, 1};
  w.zeros = {0, 0};
  return *NewPackedInt(w);
}

LowRankFactors InF16() {
  return {2, {1, 0.5f, -2, 0}, {1, 2, 3, 4, 0, -4}, {}, {}};
}

LowRankFactors InI8() {
  return {2, {1, 127, -2, 0}, {1, 2, 3, -127, 0, 4}, {1, 0.5f}, {2, 0.25f}};
}

class LowRankSumTest : public testing::Test {
 protected:
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Load(
      const nlohmann::json& header) {
    return LoadLayer(tensors_, header, 2, 3);
  }

  std::vector<TensorToWrite> tensors_;
  std::unique_ptr<Device> device_ = NewCpuDevice(1);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(LowRankSumTest, TheProductIsAddedToTheBaseAndSurvivesSaving) {
  for (const LowRankFactors& factors : {InF16(), InI8()}) {
    ASSERT_OK_AND_ASSIGN(const auto linear, NewLowRankSum(Base(), factors));
    const Tensor decoded = linear->Decode(ctx_);
    for (int r = 0; r < 2; ++r) {
      for (int c = 0; c < 3; ++c) {
        float sum = static_cast<float>(3 * r + c);
        for (int i = 0; i < 2; ++i) {
          const float scale = factors.integer()
                                  ? factors.a_scales[i] * factors.b_scales[i]
                                  : 1.0f;
          sum += factors.a[r * 2 + i] * factors.b[i * 3 + c] * scale;
        }
        EXPECT_EQ(decoded.row(r)[c], sum);
      }
    }
    tensors_.clear();
    const nlohmann::json header = linear->Save("l", &tensors_);
    uint64_t bytes = 0;
    for (const TensorToWrite& t : tensors_) bytes += t.bytes.size();
    EXPECT_EQ(linear->stored_bits(), 8 * bytes);
    ASSERT_OK_AND_ASSIGN(const auto loaded, Load(header));
    EXPECT_EQ(loaded->stored_bits(), linear->stored_bits());
    EXPECT_THAT(loaded->Decode(ctx_).values(),
                testing::ElementsAreArray(decoded.values()));
  }
}

TEST_F(LowRankSumTest, MultiplyIsTheProductWithTheDecodedWeight) {
  ASSERT_OK_AND_ASSIGN(const auto linear, NewLowRankSum(Base(), InF16()));
  const Tensor w = linear->Decode(ctx_);
  const Tensor x = Tensor::FromValues({2, 3}, {1, 0, 0, 2, -1, 3});
  const Tensor y = linear->Multiply(x, ctx_);
  for (int n = 0; n < 2; ++n) {
    for (int r = 0; r < 2; ++r) {
      float sum = 0;
      for (int c = 0; c < 3; ++c) sum += x.row(n)[c] * w.row(r)[c];
      EXPECT_FLOAT_EQ(y.row(n)[r], sum);
    }
  }
}

TEST_F(LowRankSumTest, BytesOfTheLayoutAreGolden) {
  ASSERT_OK_AND_ASSIGN(const auto floats, NewLowRankSum(Base(), InF16()));
  nlohmann::json header = floats->Save("l", &tensors_);
  EXPECT_EQ(header["layout"], "low-rank-sum.v1");
  EXPECT_EQ(header["factors"], "F16");
  EXPECT_EQ(header["rank"], 2);
  ASSERT_EQ(tensors_.size(), 5u);
  EXPECT_EQ(tensors_[3].name, "l.low_rank_a");
  EXPECT_EQ(tensors_[3].shape, Shape({2, 2}));
  EXPECT_EQ(tensors_[3].bytes,
            std::string("\x00\x3C\x00\x38\x00\xC0\x00\x00", 8));
  EXPECT_EQ(tensors_[4].name, "l.low_rank_b");
  EXPECT_EQ(
      tensors_[4].bytes,
      std::string("\x00\x3C\x00\x40\x00\x42\x00\x44\x00\x00\x00\xC4", 12));

  tensors_.clear();
  ASSERT_OK_AND_ASSIGN(const auto codes, NewLowRankSum(Base(), InI8()));
  header = codes->Save("l", &tensors_);
  EXPECT_EQ(header["factors"], "I8");
  ASSERT_EQ(tensors_.size(), 7u);
  EXPECT_EQ(tensors_[3].dtype, DType::kI8);
  EXPECT_EQ(tensors_[3].bytes, std::string("\x01\x7F\xFE\x00", 4));
  EXPECT_EQ(tensors_[4].bytes, std::string("\x01\x02\x03\x81\x00\x04", 6));
  EXPECT_EQ(tensors_[5].name, "l.low_rank_a_scales");
  EXPECT_EQ(tensors_[5].bytes, std::string("\x00\x3C\x00\x38", 4));
  EXPECT_EQ(tensors_[6].bytes, std::string("\x00\x40\x00\x34", 4));
}

TEST_F(LowRankSumTest, BytesAreThoseOfThePublishedExample) {
  // 256 x 704, rank 8: 0.68 bits a weight in F16, 0.34 in I8.
  const double weights = 256.0 * 704;
  EXPECT_NEAR(8 * LowRankBytes(256, 704, 8, FactorType::kF16) / weights, 0.682,
              0.001);
  EXPECT_NEAR(8 * LowRankBytes(256, 704, 8, FactorType::kI8) / weights, 0.342,
              0.001);
}

TEST_F(LowRankSumTest, LayoutsWrapEachOtherInBothOrders) {
  const SparseEntries entries = {{0, 1, 1}, {2}, {100}};
  ASSERT_OK_AND_ASSIGN(
      const auto inside,
      NewLowRankSum(*NewSparseOverlay(Base(), entries), InF16()));
  // 100 + 1 * 3 + 0.5 * -4.
  EXPECT_EQ(inside->Decode(ctx_).row(0)[2], 101);
  ASSERT_OK_AND_ASSIGN(
      const auto outside,
      NewSparseOverlay(*NewLowRankSum(Base(), InF16()), entries));
  EXPECT_EQ(outside->Decode(ctx_).row(0)[2], 100);
  for (const auto& linear : {inside, outside}) {
    tensors_.clear();
    const nlohmann::json header = linear->Save("l", &tensors_);
    ASSERT_OK_AND_ASSIGN(const auto loaded, Load(header));
    EXPECT_THAT(loaded->Decode(ctx_).values(),
                testing::ElementsAreArray(linear->Decode(ctx_).values()));
  }
}

TEST_F(LowRankSumTest, WrongFactorsAreRefused) {
  auto expect = [](auto change, const char* fault) {
    LowRankFactors factors = InI8();
    change(factors);
    EXPECT_THAT(NewLowRankSum(Base(), factors),
                StatusIs(kInvalid, HasSubstr(fault)));
  };
  expect([](auto& f) { f.rank = 0; }, "rank 0 is not in 1..2");
  expect([](auto& f) { f.rank = 3; }, "rank 3 is not in 1..2");
  expect([](auto& f) { f.a.pop_back(); }, "low_rank_a: expected 4 values");
  expect([](auto& f) { f.b.push_back(0); }, "low_rank_b: expected 6 values");
  expect([](auto& f) { f.a_scales = {}; }, "0 scales of low_rank_a, 2 of");
  expect([](auto& f) { f.a_scales = f.b_scales = {1}; }, "0 or 2 scales");
  expect([](auto& f) { f.a[0] = 128; }, "low_rank_a: 128 is not an integer");
  expect([](auto& f) { f.b[0] = 0.5f; }, "low_rank_b: 0.5 is not an integer");
  expect([](auto& f) { f.b[0] = NAN; }, "is not an integer");
  expect([](auto& f) { f.b_scales[1] = 0.1f; }, "low_rank_b_scales 0.1");
  expect([](auto& f) { f.a_scales = f.b_scales = {}, f.a[0] = INFINITY; },
         "low_rank_a inf is not a finite F16 value");
  EXPECT_THAT(NewLowRankSum(nullptr, InF16()),
              StatusIs(kInvalid, HasSubstr("nothing to wrap")));
  EXPECT_THAT(NewLowRankSum(*NewLowRankSum(Base(), InF16()), InF16()),
              StatusIs(kInvalid, HasSubstr("occurs twice")));
}

TEST_F(LowRankSumTest, DamagedFilesAreRefusedByLayerAndFault) {
  ASSERT_OK_AND_ASSIGN(const auto linear, NewLowRankSum(Base(), InI8()));
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
  h["rank"] = int64_t{1} << 62;
  expect(h, "rank 4611686018427387904");
  h = header;
  h["rank"] = 1;
  expect(h, "low_rank_a is I8 [2, 2], expected I8 [2, 1]");
  h = header;
  h["factors"] = "F32";
  expect(h, "factors \"F32\"");
  h = header;
  h["factors"] = 8;
  expect(h, "factors is not a string");
  h = header;
  h["factors"] = "F16";
  expect(h, "low_rank_a is I8 [2, 2], expected F16 [2, 2]");
  h = header;
  h["base"] = header;
  expect(h, "occurs twice");
  tensors_[3].bytes[0] = '\x80';
  expect(header, "low_rank_a: -128");
  tensors_[6].bytes[1] = '\x7C';
  expect(header, "low_rank_b_scales inf");
  tensors_.pop_back();
  expect(header, "l.low_rank_b_scales", absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace quantd
