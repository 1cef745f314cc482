// The layouts that put another one behind a transform of the input.
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <utility>

#include "gmock/gmock.h"
#include "models/layouts/input_rotation.h"
#include "models/layouts/input_scale.h"
#include "models/layouts/packed_int.h"
#include "tests/models/saved_layer.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::StatusIs;
using ::quantd::test::SavedLayer;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

std::shared_ptr<const CompressedLinear> Base(int64_t rows, int64_t cols) {
  std::mt19937_64 engine(5);
  PackedIntWeights w;
  w.rows = rows;
  w.cols = cols;
  w.bits = 4;
  w.group_size = cols;
  w.symmetric = true;
  for (int64_t i = 0; i < rows * cols; ++i) {
    w.codes.push_back(static_cast<uint8_t>(engine() % 16));
  }
  for (int64_t r = 0; r < rows; ++r) {
    w.scales.push_back(0.25f * static_cast<float>(r + 1));
    w.zeros.push_back(8);
  }
  auto linear = NewPackedInt(std::move(w));
  EXPECT_THAT(linear, test::IsOk());
  return *std::move(linear);
}

class InputTransformLayoutsTest : public testing::Test {
 protected:
  void ExpectSurvivesSaving(const CompressedLinear& linear) {
    const SavedLayer stored(linear);
    EXPECT_EQ(linear.stored_bits(), stored.size_bits());
    ASSERT_OK_AND_ASSIGN(const auto loaded, stored.Load());
    EXPECT_EQ(loaded->layout(), linear.layout());
    EXPECT_EQ(loaded->stored_bits(), linear.stored_bits());
    const Tensor first = linear.Decode(ctx_);
    const Tensor second = loaded->Decode(ctx_);
    for (int64_t i = 0; i < first.size(); ++i) {
      ASSERT_EQ(first.data()[i], second.data()[i]);
    }
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(InputTransformLayoutsTest, ScaleDividesTheColumnsOfItsBase) {
  const auto base = Base(3, 4);
  ASSERT_OK_AND_ASSIGN(const auto linear,
                       NewInputScale(base, {1, 0.5f, 2, 1.5f}));
  const Tensor w = base->Decode(ctx_);
  const Tensor scaled = linear->Decode(ctx_);
  for (int r = 0; r < 3; ++r) {
    EXPECT_EQ(scaled.row(r)[0], w.row(r)[0]);
    EXPECT_EQ(scaled.row(r)[1], w.row(r)[1] * 2);
    EXPECT_EQ(scaled.row(r)[2], w.row(r)[2] / 2);
    EXPECT_EQ(scaled.row(r)[3], w.row(r)[3] / 1.5f);
  }
  EXPECT_EQ(linear->stored_bits(), base->stored_bits() + 4 * 16);
  ExpectSurvivesSaving(*linear);
}

TEST_F(InputTransformLayoutsTest, RotationIsTheProductWithSignsAndHadamard) {
  // H of order 2 on pairs, signs + - - +: R = diag(sign) blockdiag(H) / sqrt 2.
  const InputRotation rotation = {2, {0, 1, 1, 0}};
  const Tensor x = Tensor::FromValues({1, 4}, {1, 2, 3, 4});
  const Tensor y = Rotate(x, rotation, ctx_);
  const double root = std::sqrt(2.0);
  EXPECT_FLOAT_EQ(y.data()[0], static_cast<float>((1 - 2) / root));
  EXPECT_FLOAT_EQ(y.data()[1], static_cast<float>((1 + 2) / root));
  EXPECT_FLOAT_EQ(y.data()[2], static_cast<float>((-3 + 4) / root));
  EXPECT_FLOAT_EQ(y.data()[3], static_cast<float>((-3 - 4) / root));
  const Tensor back = RotateBack(y, rotation, ctx_);
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(back.data()[i], x.data()[i], 1e-6);
}

TEST_F(InputTransformLayoutsTest, RotationDecodesInTheOriginalBasis) {
  for (int64_t cols : {8, 12, 44, 56, 688}) {
    const auto base = Base(3, cols);
    const InputRotation rotation = RandomInputRotation(cols, 7);
    ASSERT_OK_AND_ASSIGN(const auto linear, NewInputRotation(base, rotation));
    // (W R) R^T R = W R.
    const Tensor again = Rotate(linear->Decode(ctx_), rotation, ctx_);
    const Tensor stored = base->Decode(ctx_);
    for (int64_t i = 0; i < stored.size(); ++i) {
      ASSERT_NEAR(again.data()[i], stored.data()[i], 1e-5) << cols;
    }
    ExpectSurvivesSaving(*linear);
  }
}

TEST_F(InputTransformLayoutsTest, RandomRotationsDependOnTheSeedAlone) {
  const InputRotation a = RandomInputRotation(704, 1);
  EXPECT_EQ(a.block_size, 704);
  EXPECT_EQ(a.flips, RandomInputRotation(704, 1).flips);
  EXPECT_NE(a.flips, RandomInputRotation(704, 2).flips);
  // No Hadamard matrix of order 688 is known here; 43 blocks of 16.
  EXPECT_EQ(RandomInputRotation(688, 1).block_size, 16);
}

TEST_F(InputTransformLayoutsTest, TransformsWrapEachOther) {
  const auto base = Base(2, 8);
  ASSERT_OK_AND_ASSIGN(const auto scaled,
                       NewInputScale(base, {1, 2, 1, 2, 1, 2, 1, 0.5f}));
  const InputRotation rotation = RandomInputRotation(8, 3);
  ASSERT_OK_AND_ASSIGN(const auto both, NewInputRotation(scaled, rotation));
  ExpectSurvivesSaving(*both);
  const Tensor expected = RotateBack(scaled->Decode(ctx_), rotation, ctx_);
  const Tensor decoded = both->Decode(ctx_);
  for (int64_t i = 0; i < decoded.size(); ++i) {
    EXPECT_EQ(decoded.data()[i], expected.data()[i]);
  }
}

TEST_F(InputTransformLayoutsTest, BytesOfTheLayoutsAreGolden) {
  ASSERT_OK_AND_ASSIGN(const auto scaled, NewInputScale(Base(1, 2), {1, 0.5f}));
  SavedLayer stored(*scaled);
  EXPECT_EQ(stored.tensors.back().name, "l.input_scale");
  EXPECT_EQ(stored.tensors.back().shape, (Shape{2}));
  EXPECT_EQ(stored.tensors.back().bytes, std::string("\x00\x3C\x00\x38", 4));
  EXPECT_EQ(stored.header["layout"], "input-scale.v1");
  EXPECT_EQ(stored.header["base"]["layout"], "packed-int.v1");

  ASSERT_OK_AND_ASSIGN(
      const auto rotated,
      NewInputRotation(Base(1, 12),
                       {12, {1, 0, 0, 0, 0, 0, 1, 1, 0, 1, 0, 1}}));
  stored = SavedLayer(*rotated);
  EXPECT_EQ(stored.tensors.back().name, "l.rotation_signs");
  EXPECT_EQ(stored.tensors.back().shape, (Shape{2}));
  EXPECT_EQ(stored.tensors.back().bytes, std::string("\xC1\x0A", 2));
  EXPECT_EQ(stored.header["layout"], "input-rotation.v1");
  EXPECT_EQ(stored.header["block_size"], 12);
  EXPECT_EQ(stored.header["base"]["layout"], "packed-int.v1");
}

TEST_F(InputTransformLayoutsTest, WrongPartsAreRefused) {
  const auto base = Base(2, 4);
  EXPECT_THAT(NewInputScale(nullptr, {}),
              StatusIs(kInvalid, HasSubstr("nothing to wrap")));
  EXPECT_THAT(NewInputScale(base, {1, 1}),
              StatusIs(kInvalid, HasSubstr("expected 4 input scales, got 2")));
  EXPECT_THAT(NewInputScale(base, {1, 1, 0, 1}),
              StatusIs(kInvalid, HasSubstr("input scale 0 is not positive")));
  EXPECT_THAT(NewInputScale(base, {1, 1, -2, 1}),
              StatusIs(kInvalid, HasSubstr("not positive")));
  EXPECT_THAT(NewInputScale(base, {1, 1, 0.1f, 1}),
              StatusIs(kInvalid, HasSubstr("F16")));
  ASSERT_OK_AND_ASSIGN(const auto scaled, NewInputScale(base, {1, 1, 1, 1}));
  EXPECT_THAT(NewInputScale(scaled, {1, 1, 1, 1}),
              StatusIs(kInvalid, HasSubstr("input-scale.v1 occurs twice")));

  EXPECT_THAT(NewInputRotation(base, {4, {0, 1}}),
              StatusIs(kInvalid, HasSubstr("expected 4 rotation signs")));
  EXPECT_THAT(NewInputRotation(base, {4, {0, 1, 2, 0}}),
              StatusIs(kInvalid, HasSubstr("sign 2")));
  EXPECT_THAT(NewInputRotation(base, {3, {0, 1, 1, 0}}),
              StatusIs(kInvalid, HasSubstr("does not divide")));
  EXPECT_THAT(
      NewInputRotation(Base(1, 6), {6, {0, 0, 0, 0, 0, 0}}),
      StatusIs(kInvalid, HasSubstr("not the order of a known Hadamard")));
}

TEST_F(InputTransformLayoutsTest, DamagedFilesAreRefusedByLayerAndFault) {
  ASSERT_OK_AND_ASSIGN(const auto scaled,
                       NewInputScale(Base(2, 12), std::vector<float>(12, 1)));
  ASSERT_OK_AND_ASSIGN(const auto linear,
                       NewInputRotation(scaled, RandomInputRotation(12, 1)));
  const SavedLayer good(*linear);
  const auto expect = [](const SavedLayer& bad, const char* fault,
                         absl::StatusCode code = kInvalid) {
    EXPECT_THAT(bad.Load(), StatusIs(code, AllOf(HasSubstr("layer l: "),
                                                 HasSubstr(fault))));
  };
  SavedLayer bad = good;
  bad.header["block_size"] = 5;
  expect(bad, "block_size 5");
  bad.header.erase("block_size");
  expect(bad, "block_size is not an integer");
  bad = good;
  bad.part("rotation_signs").bytes[1] = '\x10';
  expect(bad, "beyond the last channel");
  bad.part("rotation_signs").dtype = DType::kBF16;
  expect(bad, "rotation_signs is BF16");
  bad.tensors.pop_back();
  expect(bad, "l.rotation_signs", absl::StatusCode::kNotFound);
  bad = good;
  bad.part("input_scale").bytes[3] = '\xBC';  // -1
  expect(bad, "input scale -1");
  bad.part("input_scale").shape = {11};
  expect(bad, "input_scale is F16 [11], expected F16 [12]");
  bad = good;
  bad.header["base"] = 3;
  expect(bad, "base is not an object");
  bad = good;
  bad.header["base"]["base"]["layout"] = "none.v1";
  expect(bad, "none.v1", absl::StatusCode::kUnimplemented);
  bad = good;
  bad.header["base"]["base"] = bad.header["base"];
  expect(bad, "occurs twice");
}

}  // namespace
}  // namespace quantd
