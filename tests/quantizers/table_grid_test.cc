// The grids that are tables of values: float_point, normal_float, power.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "kernels/float_formats.h"
#include "models/layouts/value_tables.h"
#include "nlohmann/json.hpp"
#include "proto/field_rules.h"
#include "quantizers/affine_grid.h"
#include "quantizers/grids/power.h"
#include "quantizers/grids/table.h"
#include "quantizers/round_to_nearest.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

Tensor Gaussian(int64_t rows, int64_t cols, uint64_t seed) {
  std::mt19937_64 engine(seed);
  Tensor t = Tensor::Uninitialized({rows, cols});
  for (float& v : t.values()) {
    double sum = 0;
    for (int i = 0; i < 12; ++i) {
      sum += static_cast<double>(engine() >> 11) * 0x1p-53 - 0.5;
    }
    v = static_cast<float>(0.05 * sum);
  }
  return t;
}

GridPlan PlanOfGroups(int64_t size) {
  GridPlan plan;
  plan.group_size = size;
  return plan;
}

GridPlan PlanOfExponent(double exponent) {
  GridPlan plan;
  plan.exponent = exponent;
  return plan;
}

class TableGridTest : public testing::Test {
 protected:
  // A stage whose solver has `grid`, in text format.
  static std::unique_ptr<Grid> Make(const std::string& kind,
                                    const std::vector<std::string>& set) {
    v1::Grid options;
    const auto* field = v1::Grid::descriptor()->FindFieldByName(kind);
    options.GetReflection()->MutableMessage(&options, field);
    v1::Stage stage;
    *stage.mutable_rtn()->mutable_grid() = options;
    FillDefaults(&stage);
    for (const std::string& assignment : set) {
      EXPECT_THAT(ApplyAssignment(&stage, assignment), IsOk());
    }
    return NewGrid(stage.rtn().grid());
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Round(
      const Grid& grid, const Tensor& weight, const GridPlan& plan = {}) {
    LayerWork item;
    item.weight = weight;
    item.grid_plan = plan;
    const absl::Status status = RoundToNearest(grid, {}, item, ctx_);
    if (!status.ok()) return status;
    return item.compressed;
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

TEST_F(TableGridTest, E3M2PerRowIsKeptInSplitPlanesAndNearest) {
  const auto grid = Make("float_point", {});
  const Tensor w = Gaussian(7, 50, 1);
  ASSERT_OK_AND_ASSIGN(const auto linear, Round(*grid, w));
  EXPECT_EQ(linear->layout(), "fp6-split.v1");
  EXPECT_EQ(8 * grid->Cost({"l", 7, 50}).stored_bytes, linear->stored_bits());
  const std::vector<float> table = StandardValues("e3m2");
  const Tensor decoded = linear->Decode(ctx_);
  for (int64_t r = 0; r < 7; ++r) {
    float greatest = 0;
    for (int64_t c = 0; c < 50; ++c) {
      greatest = std::max(greatest, std::abs(w.row(r)[c]));
    }
    const float scale = F16ToF32(F32ToF16(greatest / 28));
    for (int64_t c = 0; c < 50; ++c) {
      double least = std::numeric_limits<double>::infinity();
      for (const float v : table) {
        least = std::min(
            least, std::abs(static_cast<double>(scale) * v - w.row(r)[c]));
      }
      EXPECT_NEAR(
          std::abs(static_cast<double>(decoded.row(r)[c]) - w.row(r)[c]), least,
          1e-9);
    }
  }
}

TEST_F(TableGridTest, OtherFormatsAreKeptAsNamedTables) {
  struct Row {
    const char* kind;
    std::vector<std::string> set;
    const char* table;
    double bits;
  };
  for (const Row& row : {
           Row{"float_point",
               {"exponent_bits=2", "mantissa_bits=1", "group_size=16"},
               "e2m1",
               4 + 16.0 / 16},
           Row{"float_point", {"group_size=16"}, "e3m2", 6 + 16.0 / 16},
           Row{"float_point",
               {"exponent_bits=4", "mantissa_bits=3"},
               "e4m3",
               8 + 16.0 / 64},
           Row{"normal_float", {}, "nf4", 4 + 16.0 / 64},
           Row{"normal_float",
               {"bits=3", "group_size=32"},
               "nf3",
               3 + 16.0 / 32},
           Row{"normal_float",
               {"bits=2", "group_size=-1"},
               "nf2",
               2 + 16.0 / 64},
       }) {
    const auto grid = Make(row.kind, row.set);
    ASSERT_THAT(grid->Validate("rtn.grid", {"l", 6, 64}), IsOk());
    ASSERT_OK_AND_ASSIGN(const auto linear, Round(*grid, Gaussian(6, 64, 2)));
    EXPECT_EQ(linear->layout(), "lookup-table.v1");
    std::vector<TensorToWrite> tensors;
    EXPECT_EQ(linear->Save("l", &tensors)["values"], row.table);
    EXPECT_DOUBLE_EQ(linear->bits_per_weight(), row.bits) << row.table;
    EXPECT_EQ(8 * grid->Cost({"l", 6, 64}).stored_bytes, linear->stored_bits());
  }
}

// What error compensation sees while it runs is what will be decoded.
TEST_F(TableGridTest, QuantizedValuesAreTheDecodedOnes) {
  const Tensor w = Gaussian(5, 32, 3);
  for (const auto& [kind, set] :
       std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"float_point", {}},
           {"normal_float", {"group_size=8"}},
           {"power", {"bits=3", "group_size=16"}}}) {
    const auto grid = Make(kind, set);
    ASSERT_OK_AND_ASSIGN(auto layer, grid->NewLayerGrid(5, 32, {}));
    FitAllGroups<float>(5, 32, w.data(), nullptr, *layer, ctx_);
    Tensor quantized = Tensor::Uninitialized({5, 32});
    for (int64_t c = 0; c < 32; ++c) {
      Patch<float> patch;
      patch.row_end = 5;
      patch.column = c;
      patch.group = c / layer->group_size();
      patch.values = w.data() + c;
      patch.value_stride = 32;
      patch.quantized = quantized.data() + c;
      patch.quantized_stride = 32;
      layer->Quantize(patch);
    }
    ASSERT_OK_AND_ASSIGN(const auto linear, layer->Finish({}));
    const Tensor decoded = linear->Decode(ctx_);
    for (int64_t i = 0; i < decoded.size(); ++i) {
      ASSERT_EQ(quantized.data()[i], decoded.data()[i]) << kind;
    }
  }
}

TEST_F(TableGridTest, ShrinkSearchNeverRaisesItsError) {
  const Tensor w = Gaussian(8, 64, 4);
  for (const char* kind : {"float_point", "normal_float", "power"}) {
    double errors[2];
    for (int search = 0; search < 2; ++search) {
      const auto grid =
          Make(kind, {search ? "shrink_search=true" : "shrink_search=false",
                      "shrink_norm=2"});
      ASSERT_OK_AND_ASSIGN(errors[search],
                           SquaredRoundingError(*grid, {}, w, ctx_));
    }
    EXPECT_LT(errors[1], errors[0]) << kind;
  }
}

TEST_F(TableGridTest, WeightsThatDoNotCountLeaveTheScaleAlone) {
  const auto grid = Make("normal_float", {"group_size=4"});
  ASSERT_OK_AND_ASSIGN(auto layer, grid->NewLayerGrid(1, 4, {}));
  const std::vector<float> values = {100, 1, -0.5f, 0.25f};
  const std::vector<int64_t> columns = {0, 1, 2, 3};
  const std::vector<float> importance = {0, 1, 1, 1};
  layer->FitGroup({0, 0, values, columns, importance});
  float quantized[4];
  Patch<float> patch;
  patch.row_end = 1;
  patch.columns = 4;
  patch.values = values.data();
  patch.quantized = quantized;
  layer->Quantize(patch);
  EXPECT_EQ(quantized[1], 1.0f);
  EXPECT_EQ(quantized[0], 1.0f);  // the end of the grid
}

TEST_F(TableGridTest, PlansReplaceTheGroupSizeAndTheExponent) {
  const Tensor w = Gaussian(4, 32, 5);
  ASSERT_OK_AND_ASSIGN(const auto grouped,
                       Round(*Make("float_point", {}), w, PlanOfGroups(8)));
  EXPECT_EQ(grouped->layout(), "lookup-table.v1");
  EXPECT_DOUBLE_EQ(grouped->bits_per_weight(), 6 + 16.0 / 8);
  ASSERT_OK_AND_ASSIGN(const auto planned, Round(*Make("power", {"exponent=1"}),
                                                 w, PlanOfExponent(0.6)));
  ASSERT_OK_AND_ASSIGN(const auto fixed,
                       Round(*Make("power", {"exponent=0.6"}), w));
  const Tensor a = planned->Decode(ctx_);
  const Tensor b = fixed->Decode(ctx_);
  for (int64_t i = 0; i < a.size(); ++i) EXPECT_EQ(a.data()[i], b.data()[i]);
  for (const char* kind : {"affine", "float_point", "normal_float"}) {
    EXPECT_THAT(Round(*Make(kind, {"group_size=8"}), w, PlanOfExponent(0.6)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(kind)));
  }
  GridPlan widths;
  widths.group_bits = {3, 4};
  EXPECT_THAT(Round(*Make("power", {}), w, widths),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("power")));
}

TEST_F(TableGridTest, FormatsOfMoreThanEightBitsAreRefusedByName) {
  const auto grid = Make("float_point", {"exponent_bits=5", "mantissa_bits=6"});
  EXPECT_THAT(grid->Validate("rtn.grid", {"l", 4, 64}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::AllOf(HasSubstr("rtn.grid.float_point"),
                                      HasSubstr("e5m6"))));
}

// --- The power grid --------------------------------------------------------

// Without a power, the grid is the signed symmetric one, bit for bit.
TEST_F(TableGridTest, ExponentOneIsTheSignedSymmetricGrid) {
  for (int bits = 2; bits <= 8; ++bits) {
    for (const char* group : {"group_size=-1", "group_size=16"}) {
      const std::string width = "bits=" + std::to_string(bits);
      Tensor w = Gaussian(40, 64, static_cast<uint64_t>(bits));
      // Exact halves of a step: ties must fall alike.
      for (int64_t c = 0; c < 64; ++c) {
        w.row(0)[c] = 0.0625f * static_cast<float>(c % 29 - 14);
      }
      ASSERT_OK_AND_ASSIGN(
          const auto affine,
          Round(*Make("affine",
                      {width, group, "symmetric=true", "signed_range=true"}),
                w));
      ASSERT_OK_AND_ASSIGN(
          const auto power,
          Round(*Make("power", {width, group, "exponent=1"}), w));
      const Tensor a = affine->Decode(ctx_);
      const Tensor p = power->Decode(ctx_);
      for (int64_t i = 0; i < a.size(); ++i) {
        ASSERT_EQ(a.data()[i], p.data()[i]) << bits << " " << w.data()[i];
      }
    }
  }
}

// arXiv:2301.09858: (x w)^a = x^a w^a, so that a scale is all a row needs.
TEST_F(TableGridTest, PowersAreAutomorphismsOfTheProduct) {
  std::mt19937_64 engine(6);
  for (int i = 0; i < 1000; ++i) {
    const double x = 1e-3 + static_cast<double>(engine() >> 11) * 0x1p-50;
    const double w = 1e-3 + static_cast<double>(engine() >> 11) * 0x1p-53;
    const double a = 0.2 + 0.8 * static_cast<double>(engine() >> 11) * 0x1p-53;
    const double product = std::pow(x, a) * std::pow(w, a);
    ASSERT_NEAR(std::pow(x * w, a), product, 1e-12 * product);
  }
  // And so it is for the grid: rows that differ by a factor share their codes.
  const auto grid = Make("power", {"bits=4", "exponent=0.47"});
  Tensor w = Gaussian(2, 64, 7);
  for (int64_t c = 0; c < 64; ++c) w.row(1)[c] = 8 * w.row(0)[c];
  ASSERT_OK_AND_ASSIGN(const auto linear, Round(*grid, w));
  const Tensor decoded = linear->Decode(ctx_);
  for (int64_t c = 0; c < 64; ++c) {
    EXPECT_EQ(decoded.row(1)[c], 8 * decoded.row(0)[c]);
  }
}

TEST_F(TableGridTest, PowerValuesFollowTheirFormula) {
  for (int bits : {2, 3, 4, 8}) {
    for (double a : {0.2, 0.37, 0.5, 0.9, 1.0}) {
      const ValueSet set = PowerValues(bits, a, PowerRounding::kPower);
      const int half = 1 << (bits - 1);
      const double end = half - 1;
      // Up to a power of two, the same for all.
      const double unit = set.value(half + 1);
      int exponent = 0;
      EXPECT_EQ(std::frexp(unit, &exponent), 0.5);
      for (int code = -half; code < half; ++code) {
        const double expected =
            std::copysign(unit * std::pow(std::abs(code), 1 / a), code);
        EXPECT_NEAR(set.value(code + half), expected,
                    1e-7 * std::abs(expected));
      }
      // The end lies within a factor of two of that of an affine grid.
      EXPECT_LE(set.value(2 * half - 1), 1.5 * std::max(1.0, end));
      EXPECT_GE(set.value(2 * half - 1), 0.7 * std::max(1.0, end));
    }
  }
}

TEST_F(TableGridTest, PowerRoundsTheTransformedWeight) {
  // a = 0.5, 3 bits: values 0, 1, 4, 9 (up to the scale); |w|^a rounds up from
  // 1.5^2 = 2.25, the value from 2.5.
  const ValueSet power = PowerValues(3, 0.5, PowerRounding::kPower);
  const ValueSet value = PowerValues(3, 0.5, PowerRounding::kValue);
  const double unit = power.value(5);
  EXPECT_EQ(power.Encode(2.3 * unit), 6);
  EXPECT_EQ(value.Encode(2.3 * unit), 5);
  EXPECT_EQ(power.Encode(2.2 * unit), 5);
  EXPECT_EQ(power.Encode(-2.3 * unit), 2);
  EXPECT_EQ(value.Encode(2.6 * unit), 6);
}

}  // namespace
}  // namespace quantd
