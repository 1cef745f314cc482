// Latent weights begin where rounding to nearest ends, follow the gradients of
// their papers and end on the grid.
#include "quantizers/latent_signs.h"

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "models/layouts/packed_int.h"
#include "nlohmann/json.hpp"
#include "quantizers/grids/dual_binary.h"
#include "quantizers/grids/partially_binary.h"
#include "quantizers/recipe.h"
#include "quantizers/round_to_nearest.h"
#include "tensor/gradient_tape.h"
#include "tests/models/tunable_checks.h"
#include "tests/quantizers/random_matrices.h"
#include "tests/quantizers/tiny_network.h"
#include "tests/testing/status_matchers.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::RandomMatrix;
using ::quantd::test::SavedBytes;
using ::quantd::test::StatusIs;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;

constexpr int64_t kRows = 6;
constexpr int64_t kCols = 24;
constexpr int64_t kGroup = 8;
constexpr int64_t kGroups = kCols / kGroup;

using Layer = std::shared_ptr<const CompressedLinear>;

class LatentSignsTest : public testing::Test {
 protected:
  Layer Round(const Tensor& w, LayerGrid<float>& grid) {
    LayerView<float> view;
    view.rows = w.rows();
    view.cols = w.cols();
    view.weights = w.data();
    EXPECT_THAT(grid.Prepare(view, ctx_), IsOk());
    FitAllGroups<float>(w.rows(), w.cols(), w.data(), nullptr, grid, ctx_);
    for (int64_t g = 0; g * grid.group_size() < w.cols(); ++g) {
      Patch<float> patch;
      patch.row_end = w.rows();
      patch.column = g * grid.group_size();
      patch.columns = grid.group_size();
      patch.group = g;
      patch.values = w.data() + patch.column;
      patch.value_stride = w.cols();
      grid.Quantize(patch);
    }
    return *grid.Finish({});
  }

  Layer PartiallyBinary(const Tensor& w, bool centered,
                        int64_t group_size = kGroup) {
    PartiallyBinaryOptions options;
    options.metric = SalienceMetric::kMagnitude;
    options.group_size = group_size;
    options.center = centered ? BinaryCenter::kMean : BinaryCenter::kZero;
    PartiallyBinaryLayerGrid<float> grid(w.rows(), w.cols(), options);
    return Round(w, grid);
  }

  Layer DualBinary(const Tensor& w, bool mirror) {
    DualBinaryLayerGrid<float> grid(w.rows(), w.cols(), {kGroup, mirror});
    return Round(w, grid);
  }

  // Both layouts in both forms.
  std::vector<Layer> AllLayers() {
    return {PartiallyBinary(w_, false), PartiallyBinary(w_, true),
            DualBinary(w_, false), DualBinary(w_, true)};
  }

  // The same codes with input channels in groups that are not consecutive.
  static Layer Regrouped(const Layer& layer) {
    std::vector<int32_t> index;
    for (int32_t c = 0; c < kCols; ++c) index.push_back((c * 7) % kGroups);
    if (auto w = UnpackPartiallyBinary(*layer); w.has_value()) {
      w->group_index = index;
      return *NewPartiallyBinary(*std::move(w));
    }
    auto w = UnpackDualBinary(*layer);
    w->group_index = index;
    return *NewDualBinary(*std::move(w));
  }

  std::unique_ptr<TunableLinear> Make(const Layer& start,
                                      bool learn_range = true) {
    LearnedOptions options;
    options.variable = v1::TuneStage::LATENT;
    options.learn_range = learn_range;
    options.range_rate = 0.25;
    return *NewLatentSigns(*start, w_, options);
  }

  // Parameters after a step of random directions.
  static std::vector<Tensor> Moved(const TunableLinear& tunable) {
    std::vector<Tensor> parameters = tunable.Parameters();
    for (size_t p = 0; p < parameters.size(); ++p) {
      const Tensor noise =
          RandomMatrix(parameters[p].rows(), parameters[p].cols(), p + 5);
      for (int64_t i = 0; i < noise.size(); ++i) {
        parameters[p].data()[i] += 0.3f * noise.data()[i];
      }
    }
    tunable.Project(absl::MakeSpan(parameters));
    return parameters;
  }

  // Gradients of sum(seed * weight) for all parameters.
  std::vector<Tensor> Gradients(const TunableLinear& tunable,
                                const std::vector<Tensor>& parameters,
                                const Tensor& seed) {
    GradientTape tape(ctx_);
    std::vector<Tensor> watched;
    for (const Tensor& p : parameters) watched.push_back(tape.Watch(p));
    EXPECT_THAT(tape.Backward({{tunable.Weight(watched, ctx_), seed}}), IsOk());
    std::vector<Tensor> gradients;
    for (const Tensor& leaf : watched) gradients.push_back(tape.Gradient(leaf));
    return gradients;
  }

  // Central differences of sum(seed * surrogate(x)) by x, which is linear near
  // `at`.
  static std::vector<double> Differences(
      const Tensor& at, const Tensor& seed,
      const std::function<std::vector<double>(const std::vector<double>&)>&
          surrogate) {
    constexpr double kStep = 1e-6;
    std::vector<double> x(at.values().begin(), at.values().end());
    const auto scalar = [&] {
      const std::vector<double> y = surrogate(x);
      double sum = 0;
      for (size_t i = 0; i < y.size(); ++i) sum += seed.data()[i] * y[i];
      return sum;
    };
    std::vector<double> slopes(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const double before = x[i];
      x[i] = before + kStep;
      const double up = scalar();
      x[i] = before - kStep;
      slopes[i] = (up - scalar()) / (2 * kStep);
      x[i] = before;
    }
    return slopes;
  }

  const std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
  const Tensor w_ = RandomMatrix(kRows, kCols, 3);
};

TEST_F(LatentSignsTest, BeginsWithTheNearestCodes) {
  for (const Layer& layer : AllLayers()) {
    for (const bool learn_range : {false, true}) {
      const auto tunable = Make(layer, learn_range);
      const std::vector<Tensor> parameters = tunable->Parameters();
      EXPECT_THAT(parameters[0].values(), ElementsAreArray(w_.values()));
      ASSERT_OK_AND_ASSIGN(const auto frozen,
                           tunable->Freeze(parameters, ctx_));
      EXPECT_EQ(SavedBytes(*frozen), SavedBytes(*layer));
    }
  }
}

TEST_F(LatentSignsTest, TheWeightIsWhatIsFrozen) {
  for (const Layer& consecutive : AllLayers()) {
    for (const Layer& layer : {consecutive, Regrouped(consecutive)}) {
      for (const bool learn_range : {false, true}) {
        const auto tunable = Make(layer, learn_range);
        const std::vector<Tensor> parameters = Moved(*tunable);
        ASSERT_OK_AND_ASSIGN(const auto frozen,
                             tunable->Freeze(parameters, ctx_));
        EXPECT_EQ(frozen->layout(), layer->layout());
        EXPECT_THAT(
            frozen->Decode(ctx_).values(),
            ElementsAreArray(tunable->Weight(parameters, ctx_).values()));
        EXPECT_NE(SavedBytes(*frozen), SavedBytes(*layer));
      }
    }
  }
}

TEST_F(LatentSignsTest, SalientWeightsStay) {
  const Layer layer = PartiallyBinary(w_, true);
  const auto start = *UnpackPartiallyBinary(*layer);
  const auto tunable = Make(layer);
  ASSERT_OK_AND_ASSIGN(const auto frozen,
                       tunable->Freeze(Moved(*tunable), ctx_));
  const auto end = *UnpackPartiallyBinary(*frozen);
  EXPECT_EQ(end.salient, start.salient);
  EXPECT_EQ(end.scales, start.scales);
  EXPECT_EQ(end.zeros, start.zeros);
  for (size_t i = 0; i < start.codes.size(); ++i) {
    if (start.salient[i] == 0) continue;
    EXPECT_EQ(end.codes[i], start.codes[i]);
  }
}

TEST_F(LatentSignsTest, NineSignsAndOneSalientTen) {
  const Tensor w =
      Tensor::FromValues({1, 10}, {1, -1, 1, 1, 10, -1, -1, -1, 1, 1});
  LearnedOptions options;
  options.variable = v1::TuneStage::LATENT;
  const Layer layer = PartiallyBinary(w, false, 10);
  ASSERT_OK_AND_ASSIGN(const auto tunable, NewLatentSigns(*layer, w, options));
  std::vector<Tensor> latents = tunable->Parameters();
  ASSERT_OK_AND_ASSIGN(auto frozen, tunable->Freeze(latents, ctx_));
  EXPECT_THAT(UnpackPartiallyBinary(*frozen)->alphas, ElementsAre(1));
  // What lies at the mean is above it; alpha is that of the step.
  latents[0].data()[1] = 0;
  ASSERT_OK_AND_ASSIGN(frozen, tunable->Freeze(latents, ctx_));
  const auto binary = *UnpackPartiallyBinary(*frozen);
  EXPECT_EQ(binary.codes[1], 1);
  EXPECT_NEAR(binary.alphas[0], 8.0 / 9, 1e-3);
}

// With signs s as they are: mean + alpha s, and what is signed as it is.
TEST_F(LatentSignsTest, GradientOfSignsIsThatOfItsSurrogate) {
  for (const bool centered : {false, true}) {
    for (const bool regrouped : {false, true}) {
      Layer layer = PartiallyBinary(w_, centered);
      if (regrouped) layer = Regrouped(layer);
      const auto start = *UnpackPartiallyBinary(*layer);
      const auto tunable = Make(layer);
      const std::vector<Tensor> parameters = Moved(*tunable);
      ASSERT_EQ(parameters.size(), 1u);
      const Tensor seed = RandomMatrix(kRows, kCols, 11);
      const Tensor gradient = Gradients(*tunable, parameters, seed)[0];
      ASSERT_OK_AND_ASSIGN(const auto frozen,
                           tunable->Freeze(parameters, ctx_));
      const auto codes = UnpackPartiallyBinary(*frozen)->codes;
      const auto surrogate = [&](const std::vector<double>& x) {
        const auto group = [&](size_t i) {
          const int64_t c = static_cast<int64_t>(i) % kCols;
          return i / kCols * kGroups +
                 static_cast<size_t>(regrouped ? start.group_index[c]
                                               : c / kGroup);
        };
        std::vector<double> means(kRows * kGroups), alphas(means.size()),
            counts(means.size());
        for (size_t i = 0; i < x.size(); ++i) {
          if (start.salient[i] == 0) ++counts[group(i)];
        }
        for (size_t i = 0; i < x.size() && centered; ++i) {
          if (start.salient[i] == 0) means[group(i)] += x[i] / counts[group(i)];
        }
        const auto sign = [&](size_t i) { return 2.0 * codes[i] - 1; };
        const auto offset = [&](size_t i) { return x[i] - means[group(i)]; };
        for (size_t i = 0; i < x.size(); ++i) {
          if (start.salient[i] != 0) continue;
          alphas[group(i)] += sign(i) * offset(i) / counts[group(i)];
        }
        std::vector<double> y(x.size(), 0.0);
        for (size_t i = 0; i < x.size(); ++i) {
          if (start.salient[i] != 0) continue;
          y[i] = means[group(i)] + alphas[group(i)] * sign(i) + offset(i);
        }
        return y;
      };
      const auto expected = Differences(parameters[0], seed, surrogate);
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_NEAR(gradient.data()[i], expected[i], 1e-5) << i;
        if (start.salient[i] == 0) continue;
        EXPECT_EQ(gradient.data()[i], 0);
      }
    }
  }
}

// With bits as they are: high b1 + low b2, and the weight itself from the least
// to the greatest value.
TEST_F(LatentSignsTest, GradientOfDualLevelsIsThatOfItsSurrogate) {
  for (const bool mirror : {false, true}) {
    const Layer layer = DualBinary(w_, mirror);
    const auto tunable = Make(layer);
    EXPECT_EQ(tunable->LearningRateFactor(0), 1);
    EXPECT_EQ(tunable->LearningRateFactor(1), 0.25);
    EXPECT_EQ(tunable->LearningRateFactor(2), 0.25);
    const std::vector<Tensor> parameters = Moved(*tunable);
    ASSERT_EQ(parameters.size(), 3u);
    const Tensor seed = RandomMatrix(kRows, kCols, 12);
    const std::vector<Tensor> gradients = Gradients(*tunable, parameters, seed);
    ASSERT_OK_AND_ASSIGN(const auto frozen, tunable->Freeze(parameters, ctx_));
    const auto end = *UnpackDualBinary(*frozen);
    std::vector<double> sums[2];
    sums[0].resize(kRows * kGroups);
    sums[1].resize(kRows * kGroups);
    int outside = 0;
    for (size_t i = 0; i < end.codes.size(); ++i) {
      const size_t g = i / kGroup;
      for (int plane = 0; plane < 2; ++plane) {
        if (((end.codes[i] >> plane) & 1) != 0) {
          sums[plane][g] += seed.data()[i];
        }
      }
      const bool mirrored = mirror && end.mirrored[g] != 0;
      const float w =
          mirrored ? -parameters[0].data()[i] : parameters[0].data()[i];
      const bool inside = w >= end.lows[g] && w <= end.highs[g];
      if (!inside) ++outside;
      EXPECT_EQ(gradients[0].data()[i], inside ? seed.data()[i] : 0) << i;
    }
    EXPECT_GT(outside, 3);
    EXPECT_LT(outside, kRows * kCols / 2);
    for (size_t plane = 0; plane < 2; ++plane) {
      for (size_t g = 0; g < sums[plane].size(); ++g) {
        EXPECT_NEAR(gradients[plane + 1].data()[g], sums[plane][g], 1e-5);
      }
    }
    // Levels that are not learned stay and are no parameters.
    const auto fixed = Make(layer, /*learn_range=*/false);
    ASSERT_EQ(fixed->Parameters().size(), 1u);
    ASSERT_OK_AND_ASSIGN(const auto same, fixed->Freeze(Moved(*fixed), ctx_));
    EXPECT_EQ(UnpackDualBinary(*same)->highs, UnpackDualBinary(*layer)->highs);
  }
}

TEST_F(LatentSignsTest, ProjectionKeepsTheOrderOfLevels) {
  const auto tunable = Make(DualBinary(w_, true));
  std::vector<Tensor> parameters = tunable->Parameters();
  for (size_t p = 1; p < 3; ++p) {
    for (float& v : parameters[p].values()) v = p == 1 ? -v : 10 * v;
  }
  EXPECT_FALSE(tunable->Freeze(parameters, ctx_).ok());
  tunable->Project(absl::MakeSpan(parameters));
  EXPECT_THAT(tunable->Freeze(parameters, ctx_), IsOk());
}

TEST_F(LatentSignsTest, RefusesOtherLayoutsAndWhatIsNoNumber) {
  for (const Layer& layer : AllLayers()) {
    const auto tunable = Make(layer);
    std::vector<Tensor> parameters = tunable->Parameters();
    parameters[0].data()[5] = std::nanf("");
    EXPECT_THAT(tunable->Freeze(parameters, ctx_),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("latent weight nan")));
  }
  PackedIntWeights packed;
  packed.rows = packed.cols = packed.group_size = 1;
  packed.bits = 2;
  packed.symmetric = true;
  packed.codes = {1};
  packed.scales = {1};
  packed.zeros = {2};
  LearnedOptions options;
  options.variable = v1::TuneStage::LATENT;
  EXPECT_THAT(
      NewLatentSigns(**NewPackedInt(packed), Tensor::Zeros({1, 1}), options),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("LATENT needs layout partially-binary.v1 or "
                         "dual-binary.v1, not packed-int.v1")));
}

// --- In a stage ------------------------------------------------------------

class LatentTuningTest : public test::TinyNetworkTest {
 protected:
  absl::StatusOr<RecipeOutcome> Run(const std::string& name,
                                    const std::string& stages) {
    ASSIGN_OR_RETURN(v1::Recipe recipe,
                     ParseRecipe("name: \"" + name + "\" " + stages));
    ASSIGN_OR_RETURN(recipe, CompleteRecipe(std::move(recipe), {}));
    ASSIGN_OR_RETURN(CompiledRecipe compiled, CompiledRecipe::Compile(recipe));
    RecipeRun run;
    run.model = model_;
    run.recipe = std::make_shared<const CompiledRecipe>(std::move(compiled));
    run.workspace = workspaces_.path() + "/" + name;
    run.calibration = windows_;
    return RunRecipe(run, ctx_);
  }
};

TEST_F(LatentTuningTest, LowersTheErrorOfEveryBlock) {
  for (const auto& [name, stages] :
       std::vector<std::pair<std::string, std::string>>{
           {"dual",
            "stages { rtn { grid { dual_binary { group_size: 8 } } } } "},
           {"signs",
            "stages { rtn { grid { partially_binary { group_size: 8 } } } } "},
       }) {
    SCOPED_TRACE(name);
    ASSERT_OK_AND_ASSIGN(
        const auto outcome,
        Run(name, stages + "stages { tune { variable: LATENT steps: 60 "
                           "learning_rate: 0.003 } }"));
    const nlohmann::json summary = SummaryOf(outcome);
    ASSERT_EQ(summary["reconstructions"].size(), 2u);
    for (const auto& block : summary["reconstructions"]) {
      EXPECT_EQ(block["kept"], true) << block;
      EXPECT_LT(block["loss_after"], block["loss_before"]) << block;
    }
  }
}

TEST_F(LatentTuningTest, IsRefusedOnOtherGrids) {
  EXPECT_THAT(Run("x",
                  "stages { rtn { grid { affine { group_size: 8 } } } } "
                  "stages { tune { variable: LATENT } }"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("LATENT is learned on grid partially_binary "
                                 "or dual_binary")));
}

}  // namespace
}  // namespace quantd
