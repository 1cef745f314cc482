// The grids whose values k-means finds: a table per output channel, and
// vectors along output channels. Each under round to nearest and under the
// sweep.
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "kernels/float_formats.h"
#include "models/layouts/grouped_codebook.h"
#include "nlohmann/json.hpp"
#include "proto/field_rules.h"
#include "quantizers/compiled_recipe.h"
#include "quantizers/grids/affine.h"
#include "quantizers/grids/codebook.h"
#include "quantizers/grids/vector_codebook.h"
#include "quantizers/outliers.h"
#include "quantizers/round_to_nearest.h"
#include "quantizers/scalar_kmeans.h"
#include "quantizers/stage.h"
#include "quantizers/stage_pipeline.h"
#include "quantizers/stages/gptq.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;

using ::quantd::test::StatusIs;
using ::testing::HasSubstr;

// Roughly normal, as weights are.
Tensor NormalWeights(int64_t rows, int64_t cols, uint64_t seed) {
  std::mt19937_64 engine(seed);
  Tensor t = Tensor::Uninitialized({rows, cols});
  for (float& v : t.values()) {
    v = 0;
    for (int i = 0; i < 6; ++i) {
      v += static_cast<float>(engine() >> 40) * 0x1p-24f - 0.5f;
    }
  }
  return t;
}

// Of correlated inputs, some channels ten times larger than others.
std::shared_ptr<const LayerStatistics> Statistics(int64_t cols, uint64_t seed,
                                                  ExecutionContext& ctx) {
  const Tensor noise = NormalWeights(6 * cols, cols, seed);
  Tensor inputs = Tensor::Uninitialized(noise.shape());
  for (int64_t r = 0; r < noise.rows(); ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      const float size = c % 9 == 4 ? 10.0f : 1.0f;
      inputs.row(r)[c] =
          size * (noise.row(r)[c] + 0.8f * noise.row(r)[(c + 1) % cols]);
    }
  }
  SecondMomentAccumulator accumulator(cols);
  accumulator.Add(inputs, 6, ctx);
  auto statistics = std::make_shared<LayerStatistics>();
  statistics->tokens = accumulator.tokens();
  statistics->second_moment = std::move(accumulator).Finish();
  return statistics;
}

std::shared_ptr<const LayerStatistics> IdentityStatistics(int64_t cols) {
  auto statistics = std::make_shared<LayerStatistics>();
  statistics->tokens = cols;
  statistics->second_moment = SquareMatrix(cols);
  for (int64_t c = 0; c < cols; ++c) statistics->second_moment.at(c, c) = 1;
  return statistics;
}

class CodebookGridsTest : public testing::Test {
 protected:
  struct Outcome {
    Tensor weight;
    double output_error = 0;  // relative, tr(D H D^T)
    double bits = 0;
    std::string bytes;
  };

  // `stage` in text form, run on one layer.
  absl::StatusOr<Outcome> Run(const std::string& stage, const Tensor& weight,
                              std::shared_ptr<const LayerStatistics> statistics,
                              int threads = 2) {
    v1::Stage options;
    if (!google::protobuf::TextFormat::ParseFromString(stage, &options)) {
      return absl::InvalidArgumentError(stage);
    }
    FillDefaults(&options);
    RETURN_IF_ERROR(Validate(options));
    CompiledRecipe::Stages stages;
    ASSIGN_OR_RETURN(auto made, NewStage(options));
    stages.push_back(std::move(made));
    const LinearShape shape = {"layer", weight.rows(), weight.cols()};
    RETURN_IF_ERROR(stages[0]->Validate(shape));
    const std::unique_ptr<Device> device = NewCpuDevice(threads);
    ExecutionContext ctx(device.get());
    Linear layer("layer", weight.Clone(), std::nullopt);
    ASSIGN_OR_RETURN(const auto reports,
                     RunStages(stages, 0, {&layer}, statistics, {}, ctx));
    Outcome outcome;
    outcome.weight = layer.weight();
    outcome.output_error = reports.at(0).output_error;
    outcome.bits = reports.at(0).bits_per_weight;
    std::vector<TensorToWrite> tensors;
    outcome.bytes = layer.compressed()->Save("layer", &tensors).dump();
    uint64_t stored = 0;
    for (const TensorToWrite& t : tensors) {
      outcome.bytes += t.name + t.bytes;
      stored += t.bytes.size();
    }
    EXPECT_EQ(stages[0]->Cost(shape).stored_bytes, stored) << stage;
    EXPECT_EQ(layer.compressed()->stored_bits(), 8 * stored) << stage;
    return outcome;
  }

  std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

bool Equal(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() &&
         std::equal(a.values().begin(), a.values().end(), b.values().begin());
}

double SquaredDistance(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const double d = double{a.data()[i]} - double{b.data()[i]};
    sum += d * d;
  }
  return sum;
}

// --- A table per output channel --------------------------------------------

TEST_F(CodebookGridsTest, RowsAreQuantizedToTheirOptimalTables) {
  const Tensor w = NormalWeights(5, 60, 1);
  for (int bits : {1, 2, 3, 4}) {
    ASSERT_OK_AND_ASSIGN(
        const Outcome got,
        Run("rtn { grid { codebook { bits: " + std::to_string(bits) + " } } }",
            w, nullptr));
    double optimum = 0;
    for (int64_t r = 0; r < 5; ++r) {
      const std::vector<double> row(w.row(r), w.row(r) + 60);
      optimum += FitScalarKMeans(row, {}, 1 << bits).objective;
      const std::set<float> values(got.weight.row(r), got.weight.row(r) + 60);
      EXPECT_LE(values.size(), size_t{1} << bits);
    }
    // The tables are rounded to binary16.
    EXPECT_NEAR(SquaredDistance(w, got.weight) / optimum, 1, 1e-4) << bits;
    EXPECT_DOUBLE_EQ(got.bits, bits +
                                   (bits == 1   ? 4.0 / 60
                                    : bits == 3 ? 4.0 / 60
                                                : 0) +
                                   16.0 * (1 << bits) / 60);
  }
}

TEST_F(CodebookGridsTest, RowsOfFewValuesAreExact) {
  Tensor w = Tensor::Zeros({3, 40});
  for (int64_t c = 0; c < 40; ++c) {
    w.row(0)[c] = 0.5f * static_cast<float>(c % 4);
    w.row(1)[c] = c == 7 ? -1000.0f : 0.25f;
  }
  ASSERT_OK_AND_ASSIGN(
      const Outcome got,
      Run("rtn { grid { codebook { bits: 2 } } }", w, nullptr));
  EXPECT_TRUE(Equal(got.weight, w));
}

TEST_F(CodebookGridsTest, SecondMomentWeightsLowerTheDiagonalError) {
  const Tensor w = NormalWeights(16, 72, 2);
  const auto statistics = Statistics(72, 3, ctx_);
  double errors[2];
  for (bool weighted : {false, true}) {
    ASSERT_OK_AND_ASSIGN(
        const Outcome got,
        Run(std::string("gptq { act_order: false damping: 1 grid { codebook { "
                        "bits: 2 weight_by_second_moment: ") +
                (weighted ? "true" : "false") + " } } }",
            w, statistics));
    errors[weighted] = got.output_error;
  }
  EXPECT_LT(errors[true], errors[false]);
}

TEST_F(CodebookGridsTest, ImportanceDecidesWhatATableFits) {
  // Ten values around 0 and one far away that counts for nothing.
  v1::CodebookGrid options;
  options.set_bits(1);
  const auto grid = NewCodebookGrid(options);
  ASSERT_OK_AND_ASSIGN(const auto layer, grid->NewLayerGrid(1, 5, {}));
  const std::vector<float> values = {-1, -1, 1, 1, 100};
  const std::vector<float> importance = {1, 1, 1, 1, 0};
  const std::vector<int64_t> columns = {0, 1, 2, 3, 4};
  layer->FitGroup({0, 0, values, columns, importance});
  std::vector<float> quantized(5);
  Patch<float> patch;
  patch.row_end = 1;
  patch.columns = 5;
  patch.values = values.data();
  patch.quantized = quantized.data();
  layer->Quantize(patch);
  EXPECT_THAT(quantized, testing::ElementsAre(-1, -1, 1, 1, 1));
}

TEST_F(CodebookGridsTest, SweepLowersTheErrorOfTables) {
  const Tensor w = NormalWeights(24, 72, 4);
  const auto statistics = Statistics(72, 5, ctx_);
  ASSERT_OK_AND_ASSIGN(
      const Outcome nearest,
      Run("rtn { grid { codebook { bits: 2 } } }", w, statistics));
  ASSERT_OK_AND_ASSIGN(
      const Outcome swept,
      Run("gptq { grid { codebook { bits: 2 } } }", w, statistics));
  EXPECT_EQ(nearest.bits, swept.bits);
  EXPECT_LT(swept.output_error, nearest.output_error);
}

// --- A table per group of output channels ----------------------------------

// Every third row of two sizes only, the others normal; scales from 0.01 to 4.
Tensor RowsOfTwoKinds(int64_t rows, int64_t cols, uint64_t seed) {
  Tensor w = NormalWeights(rows, cols, seed);
  for (int64_t r = 0; r < rows; ++r) {
    const float scale = 0.01f * std::exp2(static_cast<float>(r * 5 % 9));
    for (int64_t c = 0; c < cols; ++c) {
      float& v = w.row(r)[c];
      if (r % 3 == 0) v = std::copysign(v > 0.8f ? 1.5f : 0.75f, v);
      v *= scale;
    }
  }
  return w;
}

TEST_F(CodebookGridsTest, RowsOfLikeDistributionShareATable) {
  const Tensor w = RowsOfTwoKinds(24, 96, 31);
  v1::CodebookGrid options;
  options.set_bits(2);
  options.set_row_groups(2);
  const auto grid = NewCodebookGrid(options);
  LayerWork item;
  item.weight = w;
  ASSERT_THAT(RoundToNearest(*grid, {}, item, ctx_), IsOk());
  const GroupedCodebookWeights got = *UnpackGroupedCodebook(*item.compressed);
  for (size_t r = 0; r < 24; ++r) {
    EXPECT_EQ(got.row_groups[r] == got.row_groups[0], r % 3 == 0) << r;
    double squares = 0;
    for (int64_t c = 0; c < 96; ++c) {
      squares += std::pow(double{w.row(static_cast<int64_t>(r))[c]}, 2);
    }
    EXPECT_EQ(got.scales[r], NearestF16(std::sqrt(squares / 96)));
  }
  // Four values, and a scale, are all that a row of the first kind has.
  const Tensor decoded = item.compressed->Decode(ctx_);
  for (int64_t c = 0; c < 96; ++c) {
    EXPECT_NEAR(decoded.row(3)[c] / w.row(3)[c], 1, 0.15);
  }
}

TEST_F(CodebookGridsTest, AGroupForEveryRowIsAsGoodAsATableForEveryRow) {
  const Tensor w = NormalWeights(6, 80, 32);
  const auto run = [&](const std::string& more) {
    return Run("rtn { grid { codebook { bits: 3 " + more + "} } }", w, nullptr);
  };
  ASSERT_OK_AND_ASSIGN(const Outcome rows, run(""));
  ASSERT_OK_AND_ASSIGN(const Outcome groups, run("row_groups: 6 "));
  ASSERT_OK_AND_ASSIGN(const Outcome shared, run("row_groups: 1 "));
  EXPECT_NEAR(
      SquaredDistance(w, groups.weight) / SquaredDistance(w, rows.weight), 1,
      2e-3);
  EXPECT_GT(SquaredDistance(w, shared.weight), SquaredDistance(w, rows.weight));
  // Codes, a table of eight, a scale per row.
  EXPECT_DOUBLE_EQ(shared.bits, 3 + 16.0 * 8 / (6 * 80) + 16.0 / 80);
}

TEST_F(CodebookGridsTest, SharedTablesAreFittedWithTheWeightsOfTheirErrors) {
  const Tensor w = RowsOfTwoKinds(30, 72, 33);
  const auto statistics = Statistics(72, 34, ctx_);
  const auto run = [&](const std::string& solver, const std::string& more) {
    return Run(
        solver + " grid { codebook { bits: 2 row_groups: 3 " + more + "} } }",
        w, statistics);
  };
  ASSERT_OK_AND_ASSIGN(const Outcome nearest, run("rtn {", ""));
  ASSERT_OK_AND_ASSIGN(const Outcome swept, run("gptq {", ""));
  EXPECT_LT(swept.output_error, nearest.output_error);
  // No sweep to speak of, so that only the diagonal counts.
  const std::string damped = "gptq { act_order: false damping: 1";
  ASSERT_OK_AND_ASSIGN(const Outcome plain, run(damped, ""));
  ASSERT_OK_AND_ASSIGN(const Outcome weighted,
                       run(damped, "weight_by_second_moment: true "));
  EXPECT_LT(weighted.output_error, plain.output_error);
}

TEST_F(CodebookGridsTest, OutliersAreLeftOutOfScalesAndSharedTables) {
  const Tensor w = NormalWeights(8, 40, 35);
  Tensor spiked = w.Clone();
  OutlierMask mask;
  mask.row_starts = {0};
  for (int32_t r = 0; r < 8; ++r) {
    mask.columns.push_back(3 * r);
    mask.row_starts.push_back(r + 1);
    spiked.row(r)[3 * r] = 500;
  }
  v1::CodebookGrid options;
  options.set_bits(3);
  options.set_row_groups(2);
  LayerWork item;
  item.weight = spiked;
  item.outliers = std::make_shared<const OutlierMask>(mask);
  ASSERT_THAT(RoundToNearest(*NewCodebookGrid(options), {}, item, ctx_),
              IsOk());
  const Tensor decoded = item.compressed->Decode(ctx_);
  for (int64_t r = 0; r < 8; ++r) {
    for (int64_t c = 0; c < 40; ++c) {
      EXPECT_NEAR(decoded.row(r)[c], spiked.row(r)[c], 1);
    }
  }
}

// More weights than are fitted exactly.
TEST_F(CodebookGridsTest, LargeGroupsAreFittedAlmostExactly) {
  const int64_t rows = 96, cols = 1024;
  ASSERT_GT(rows * cols, kMostFittedValues);
  const Tensor w = NormalWeights(rows, cols, 36);
  ASSERT_OK_AND_ASSIGN(
      const Outcome got,
      Run("rtn { grid { codebook { bits: 3 row_groups: 1 } } }", w, nullptr));
  std::vector<double> values, counts;
  for (int64_t r = 0; r < rows; ++r) {
    double squares = 0;
    for (int64_t c = 0; c < cols; ++c) {
      squares += std::pow(double{w.row(r)[c]}, 2);
    }
    const double scale = NearestF16(std::sqrt(squares / cols));
    for (int64_t c = 0; c < cols; ++c) {
      values.push_back(w.row(r)[c] / scale);
      counts.push_back(scale * scale);
    }
  }
  const double optimum = FitScalarKMeans(values, counts, 8).objective;
  EXPECT_NEAR(SquaredDistance(w, got.weight) / optimum, 1, 1e-3);
}

TEST_F(CodebookGridsTest, MoreGroupsThanRowsAreRefusedByName) {
  v1::CodebookGrid options;
  options.set_bits(3);
  options.set_row_groups(9);
  const auto grid = NewCodebookGrid(options);
  EXPECT_THAT(grid->Validate("rtn.grid", {"mlp.up_proj", 9, 16}), IsOk());
  EXPECT_THAT(grid->Validate("rtn.grid", {"mlp.up_proj", 8, 16}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::AllOf(HasSubstr("rtn.grid.codebook.row_groups"),
                                      HasSubstr("9 groups for the 8"),
                                      HasSubstr("up_proj"))));
}

TEST_F(CodebookGridsTest, AwkwardRowsStayFiniteInGroups) {
  Tensor w = NormalWeights(8, 32, 37);
  std::fill_n(w.row(0), 32, 0.0f);
  std::fill_n(w.row(1), 32, 0.75f);
  std::fill_n(w.row(2), 32, -1e-7f);
  w.row(3)[7] = 1e4f;
  w.row(4)[0] = -60000.0f;
  for (const char* groups : {"1", "3", "8"}) {
    ASSERT_OK_AND_ASSIGN(
        const Outcome got,
        Run(absl::StrCat("rtn { grid { codebook { bits: 3 row_groups: ", groups,
                         " } } }"),
            w, nullptr));
    for (const float v : got.weight.values()) ASSERT_TRUE(std::isfinite(v));
  }
}

// --- Vectors along output channels -----------------------------------------

TEST_F(CodebookGridsTest, VectorsOfOneAndAUniformCodebookAreGptq) {
  const int64_t rows = 70, cols = 36;
  Tensor w = NormalWeights(rows, cols, 6);
  // Every row reaches 0.875, so that the symmetric grid has step 1/4.
  for (int64_t r = 0; r < rows; ++r) {
    float largest = 0;
    for (int64_t c = 0; c < cols; ++c) {
      largest = std::max(largest, std::abs(w.row(r)[c]));
    }
    for (int64_t c = 0; c < cols; ++c) w.row(r)[c] *= 0.875f / largest;
    w.row(r)[r % cols] = 0.875f;
  }
  const auto statistics = Statistics(cols, 7, ctx_);
  GptqOptions options;
  ASSERT_OK_AND_ASSIGN(
      const auto factor,
      FactorForGptq<float>(statistics->second_moment, options, ctx_));

  AffineGridOptions affine_options;
  affine_options.bits = 3;
  affine_options.symmetric = true;
  AffineLayerGrid<float> affine(rows, cols, affine_options);
  ASSERT_OK_AND_ASSIGN(const GptqResult want,
                       QuantizeGptq<float>(rows, cols, w.data(), nullptr,
                                           factor, options, affine, ctx_));
  VectorCodebookOptions vector_options;
  vector_options.coding = {1, 3, 0};
  VectorCodebookLayerGrid vectors(rows, cols, vector_options);
  vectors.GiveCodebook({-1, -0.75f, -0.5f, -0.25f, 0, 0.25f, 0.5f, 0.75f});
  LayerView<float> view;
  view.rows = rows;
  view.cols = cols;
  view.weights = w.data();
  ASSERT_THAT(vectors.Prepare(view, ctx_), IsOk());
  ASSERT_OK_AND_ASSIGN(const GptqResult got,
                       QuantizeGptq<float>(rows, cols, w.data(), nullptr,
                                           factor, options, vectors, ctx_));
  EXPECT_EQ(got.loss, want.loss);
  ASSERT_OK_AND_ASSIGN(const auto expected, affine.Finish({}));
  ASSERT_OK_AND_ASSIGN(const auto decoded, vectors.Finish({}));
  EXPECT_TRUE(Equal(decoded->Decode(ctx_), expected->Decode(ctx_)));
}

TEST_F(CodebookGridsTest, WithoutCorrelationTheSweepIsNearestCentroid) {
  const Tensor w = NormalWeights(50, 24, 8);
  for (int v : {2, 4, 6}) {
    const std::string grid =
        "{ grid { vector_codebook { index_bits: 5 "
        "vector_length: " +
        std::to_string(v) + " } } }";
    ASSERT_OK_AND_ASSIGN(const Outcome swept,
                         Run("gptq " + grid, w, IdentityStatistics(24)));
    ASSERT_OK_AND_ASSIGN(const Outcome nearest, Run("rtn " + grid, w, nullptr));
    EXPECT_EQ(swept.bytes, nearest.bytes) << v;
  }
}

TEST_F(CodebookGridsTest, SweepLowersTheErrorOfVectors) {
  const Tensor w = NormalWeights(64, 72, 9);
  const auto statistics = Statistics(72, 10, ctx_);
  const std::string grid =
      "{ grid { vector_codebook { index_bits: 6 vector_length: 4 } } }";
  ASSERT_OK_AND_ASSIGN(const Outcome nearest,
                       Run("rtn " + grid, w, statistics));
  ASSERT_OK_AND_ASSIGN(const Outcome swept, Run("gptq " + grid, w, statistics));
  EXPECT_EQ(nearest.bits, swept.bits);
  EXPECT_LT(swept.output_error, nearest.output_error);
}

TEST_F(CodebookGridsTest, ResidualCodebookLowersTheError) {
  const Tensor w = NormalWeights(64, 72, 11);
  const auto statistics = Statistics(72, 12, ctx_);
  const std::string begin = "gptq { grid { vector_codebook { index_bits: 5 ";
  ASSERT_OK_AND_ASSIGN(const Outcome one, Run(begin + "} } }", w, statistics));
  double last = one.output_error;
  // 3 bits are searched together with the first codebook, 5 after it.
  for (int bits : {1, 3, 5}) {
    ASSERT_OK_AND_ASSIGN(
        const Outcome two,
        Run(begin + "residual_index_bits: " + std::to_string(bits) + " } } }",
            w, statistics));
    EXPECT_LT(two.output_error, last) << bits;
    last = two.output_error;
  }
}

TEST_F(CodebookGridsTest, RefitsLowerTheError) {
  const Tensor w = NormalWeights(64, 72, 13);
  const auto statistics = Statistics(72, 14, ctx_);
  for (const char* more :
       {"", "residual_index_bits: 3 ", "outlier_percent: 5 row_scales: true ",
        "vector_length: 6 column_groups: 3 "}) {
    const auto with = [&](int refits) {
      return absl::StrCat("gptq { grid { vector_codebook { index_bits: 5 ",
                          more, "refits: ", refits, " } } }");
    };
    ASSERT_OK_AND_ASSIGN(const Outcome none, Run(with(0), w, statistics));
    ASSERT_OK_AND_ASSIGN(const Outcome once, Run(with(1), w, statistics));
    EXPECT_LT(once.output_error, none.output_error) << more;
    EXPECT_EQ(once.bits, none.bits);
  }
}

TEST_F(CodebookGridsTest, CoordinateDescentLowersTheErrorOfVectors) {
  // 70 rows: bundles that share codes are cut off at the edge.
  const Tensor w = NormalWeights(70, 72, 25);
  const auto statistics = Statistics(72, 26, ctx_);
  for (const char* options :
       {"index_bits: 5", "index_bits: 5 vector_length: 6",
        "index_bits: 4 residual_index_bits: 2 refits: 1 centroid_bits: 8"}) {
    const std::string grid =
        absl::StrCat("grid { vector_codebook { ", options, " } } }");
    ASSERT_OK_AND_ASSIGN(const Outcome nearest,
                         Run("rtn { " + grid, w, statistics));
    ASSERT_OK_AND_ASSIGN(const Outcome swept,
                         Run("gptq { " + grid, w, statistics));
    ASSERT_OK_AND_ASSIGN(
        const Outcome from_sweep,
        Run("coordinate_descent { initial: GPTQ act_order: true passes: 6 "
            "relax_period: 0 " +
                grid,
            w, statistics));
    ASSERT_OK_AND_ASSIGN(
        const Outcome from_weights,
        Run("coordinate_descent { initial: WEIGHTS passes: 6 relax_period: 3 "
            "quantized_passes: 2 " +
                grid,
            w, statistics));
    EXPECT_LT(from_sweep.output_error, swept.output_error) << options;
    EXPECT_LT(from_weights.output_error, nearest.output_error) << options;
  }
}

TEST_F(CodebookGridsTest, OutlierChannelsHaveTheirOwnCodebook) {
  Tensor w = NormalWeights(64, 36, 15);
  const auto statistics = Statistics(36, 16, ctx_);
  // The channels of large second moment have large weights here.
  for (int64_t r = 0; r < 64; ++r) {
    for (int64_t c = 4; c < 36; c += 9) w.row(r)[c] *= 8;
  }
  ASSERT_OK_AND_ASSIGN(
      const Outcome without,
      Run("gptq { grid { vector_codebook { index_bits: 6 } } }", w,
          statistics));
  // 11 % of 36 channels are 4.
  ASSERT_OK_AND_ASSIGN(
      const Outcome with,
      Run("gptq { grid { vector_codebook { index_bits: 6 outlier_percent: 11 "
          "outlier_vector_length: 2 outlier_index_bits: 7 } } }",
          w, statistics));
  EXPECT_LT(with.output_error, 0.5 * without.output_error);
  EXPECT_THAT(with.bytes, HasSubstr(R"("columns":4)"));
}

TEST_F(CodebookGridsTest, EveryOptionStoresWhatItQuantized) {
  // 70 rows are no multiple of any vector length below: the edge is padded.
  const int64_t rows = 70, cols = 40;
  const Tensor w = NormalWeights(rows, cols, 17);
  const auto statistics = Statistics(cols, 18, ctx_);
  const std::vector<double> moment = Diagonal(statistics->second_moment);
  VectorCodebookOptions base;
  base.coding = {4, 5, 0};
  std::vector<VectorCodebookOptions> variants(8, base);
  variants[1].coding.residual_index_bits = 3;
  variants[2].coding.residual_index_bits = 5;
  variants[3].centroid_bits = 8;
  variants[3].coding.residual_index_bits = 2;
  variants[4].row_scales = true;
  variants[5].outlier_percent = 10;
  variants[5].outlier_coding = {3, 4, 0};
  variants[5].coding.vector_length = 6;
  variants[6].column_groups = 3;
  variants[6].refits = 2;
  variants[7].weighting = VectorCodebookOptions::Weighting::kNone;
  variants[7].coding.vector_length = 64;
  for (size_t i = 0; i < variants.size(); ++i) {
    VectorCodebookLayerGrid grid(rows, cols, variants[i]);
    LayerView<float> view;
    view.rows = rows;
    view.cols = cols;
    view.weights = w.data();
    view.moment_diagonal = moment;
    view.second_moment = &statistics->second_moment;
    ASSERT_THAT(grid.Prepare(view, ctx_), IsOk());
    const int64_t step = grid.row_alignment();
    EXPECT_EQ(step % variants[i].coding.vector_length, 0);
    Tensor quantized = Tensor::Zeros({rows, cols});
    for (int64_t r = 0; r < rows; r += step) {
      Patch<float> patch;
      patch.row_begin = r;
      patch.row_end = std::min(r + step, rows);
      patch.columns = cols;
      patch.values = w.row(r);
      patch.value_stride = cols;
      patch.quantized = quantized.row(r);
      patch.quantized_stride = cols;
      grid.Quantize(patch);
    }
    ASSERT_OK_AND_ASSIGN(const auto linear, grid.Finish({}));
    const Tensor decoded = linear->Decode(ctx_);
    for (int64_t n = 0; n < w.size(); ++n) {
      ASSERT_NEAR(decoded.data()[n], quantized.data()[n], 1e-6)
          << i << " " << n;
    }
    EXPECT_LT(SquaredDistance(w, decoded),
              0.9 * SquaredDistance(w, Tensor::Zeros({rows, cols})))
        << i;
  }
}

TEST_F(CodebookGridsTest, EightBitEntriesCostLittleAndSaveHalfACodebook) {
  const Tensor w = NormalWeights(64, 72, 19);
  const auto statistics = Statistics(72, 20, ctx_);
  ASSERT_OK_AND_ASSIGN(
      const Outcome wide,
      Run("gptq { grid { vector_codebook { index_bits: 6 } } }", w,
          statistics));
  ASSERT_OK_AND_ASSIGN(
      const Outcome narrow,
      Run("gptq { grid { vector_codebook { index_bits: 6 centroid_bits: 8 } } "
          "}",
          w, statistics));
  EXPECT_NEAR(wide.bits - narrow.bits, (8.0 * 64 * 4 - 16) / (64 * 72), 1e-12);
  EXPECT_NEAR(narrow.output_error / wide.output_error, 1, 0.05);
}

TEST_F(CodebookGridsTest, OutlierWeightsAreKeptAndLeftOutOfTheFits) {
  const int64_t rows = 32, cols = 24;
  Tensor w = NormalWeights(rows, cols, 21);
  OutlierMask mask;
  mask.row_starts = {0};
  for (int64_t r = 0; r < rows; ++r) {
    mask.columns.push_back(static_cast<int32_t>(r * 7 % cols));
    mask.row_starts.push_back(static_cast<int32_t>(mask.columns.size()));
    w.row(r)[mask.columns.back()] = 500.0f;
  }
  const auto statistics = Statistics(cols, 22, ctx_);
  const std::vector<double> moment = Diagonal(statistics->second_moment);
  VectorCodebookOptions options;
  options.coding = {4, 5, 2};
  options.refits = 1;
  auto grid = NewOutlierGrid<float>(
      std::make_unique<VectorCodebookLayerGrid>(rows, cols, options), mask);
  EXPECT_EQ(grid->row_alignment(), 4);
  LayerView<float> view;
  view.rows = rows;
  view.cols = cols;
  view.weights = w.data();
  view.moment_diagonal = moment;
  view.second_moment = &statistics->second_moment;
  ASSERT_THAT(grid->Prepare(view, ctx_), IsOk());
  GptqOptions gptq;
  ASSERT_OK_AND_ASSIGN(
      const auto factor,
      FactorForGptq<float>(statistics->second_moment, gptq, ctx_));
  bool again = true;
  int sweeps = 0;
  while (again) {
    ASSERT_THAT(QuantizeGptq<float>(rows, cols, w.data(), nullptr, factor, gptq,
                                    *grid, ctx_),
                IsOk());
    ++sweeps;
    ASSERT_OK_AND_ASSIGN(again, grid->Refine(view, ctx_));
  }
  EXPECT_EQ(sweeps, 2);
  ASSERT_OK_AND_ASSIGN(const auto linear, grid->Finish({}));
  const Tensor decoded = linear->Decode(ctx_);
  double largest = 0;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      if (mask.Find(r, c) >= 0) {
        EXPECT_NEAR(decoded.row(r)[c], 500, 2);
      } else {
        largest = std::max(largest, std::abs(double{decoded.row(r)[c]}));
      }
    }
  }
  // No codebook entry was spent on them.
  EXPECT_LT(largest, 10);
}

TEST_F(CodebookGridsTest, BytesDoNotDependOnTheNumberOfThreads) {
  const Tensor w = NormalWeights(100, 48, 23);
  const auto statistics = Statistics(48, 24, ctx_);
  for (const char* stage :
       {"rtn { grid { codebook { bits: 3 } } }",
        "gptq { grid { codebook { weight_by_second_moment: true } } }",
        "gptq { grid { codebook { row_groups: 7 } } }",
        "rtn { grid { vector_codebook { index_bits: 5 } } }",
        "gptq { grid { vector_codebook { index_bits: 5 residual_index_bits: 3 "
        "outlier_percent: 5 row_scales: true refits: 2 restarts: 2 "
        "weighting: \"conditional\" } } }",
        "coordinate_descent { initial: GPTQ passes: 3 grid { vector_codebook { "
        "index_bits: 5 residual_index_bits: 2 refits: 1 } } }"}) {
    ASSERT_OK_AND_ASSIGN(const Outcome one, Run(stage, w, statistics, 1));
    ASSERT_OK_AND_ASSIGN(const Outcome three, Run(stage, w, statistics, 3));
    EXPECT_EQ(one.bytes, three.bytes) << stage;
  }
}

TEST_F(CodebookGridsTest, PlansOfAnAllocateStageAreRefused) {
  GridPlan plan;
  plan.group_size = 8;
  EXPECT_THAT(
      NewCodebookGrid({})->NewLayerGrid(4, 16, plan),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("grid codebook")));
  plan = {};
  plan.group_bits = {2, 3};
  EXPECT_THAT(NewVectorCodebookGrid({})->NewLayerGrid(4, 16, plan),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("grid vector_codebook")));
}

}  // namespace
}  // namespace quantd
