// The tune stage: what it refuses, and what it makes of blocks.
#include "quantizers/stages/tune.h"

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "gmock/gmock.h"
#include "models/model.h"
#include "models/tokenizer.h"
#include "nlohmann/json.hpp"
#include "quantizers/recipe.h"
#include "quantizers/recipe_run.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd {
namespace {

using ::quantd::test::IsOk;
using ::quantd::test::StatusIs;
using ::quantd::test::TempDir;
using ::testing::_;
using ::testing::AllOf;
using ::testing::HasSubstr;

class TuneTest : public testing::Test {
 protected:
  void SetUp() override {
    test::WriteTinyModel(directory_.path());
    ASSERT_OK_AND_ASSIGN(checkpoint_, Checkpoint::Open(directory_.path()));
    ASSERT_OK_AND_ASSIGN(model_, Model::Open(checkpoint_));
  }

  absl::StatusOr<RecipeRun> NewRun(
      const std::string& method, const std::vector<std::string>& assignments) {
    RecipeRun run;
    run.model = model_;
    auto recipe = ResolveRecipe(method, assignments);
    if (!recipe.ok()) return recipe.status();
    auto compiled = CompiledRecipe::Compile(*recipe);
    if (!compiled.ok()) return compiled.status();
    run.recipe = std::make_shared<const CompiledRecipe>(*std::move(compiled));
    run.workspace = workspace_.path() + "/" + method;
    const auto tokenizer = *LoadTokenizer(directory_.path());
    run.calibration =
        *DrawWindows(*tokenizer->Encode(test::TinyText(3000)), 12, 32, 0);
    return run;
  }

  TempDir directory_;
  TempDir workspace_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::shared_ptr<const Model> model_;
  const std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

// Every variable lowers the error of every block, and says so.
TEST_F(TuneTest, LearnsSomethingInEveryBlock) {
  for (const auto& [method, set] :
       std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"autoround",
            {"bits=3", "group_size=8", "steps=60", "learning_rate=0.0166"}},
           {"adaround", {"bits=3", "steps=150"}},
           {"flexround", {"bits=3", "steps=100"}},
           {"omniquant-clipping", {"bits=2", "group_size=8", "steps=60"}},
           {"gptq-tuned",
            {"bits=2", "group_size=8", "steps=60", "learning_rate=0.0166"}},
           {"vptq-tuned", {"steps=60"}}}) {
    SCOPED_TRACE(method);
    ASSERT_OK_AND_ASSIGN(const RecipeRun run, NewRun(method, set));
    ASSERT_OK_AND_ASSIGN(const auto outcome, RunRecipe(run, ctx_));
    const auto summary = nlohmann::json::parse(
        *ReadFile(outcome.artifact_directory + "/quantd.json"));
    ASSERT_EQ(summary["reconstructions"].size(), 2u);
    for (const auto& block : summary["reconstructions"]) {
      EXPECT_EQ(block["kept"], true) << block;
      EXPECT_LT(block["loss_after"], block["loss_before"]) << block;
    }
  }
}

TEST_F(TuneTest, ABlockThatDoesNotGainStaysAsItWas) {
  ASSERT_OK_AND_ASSIGN(
      const RecipeRun tuned,
      NewRun("autoround", {"group_size=8", "steps=2", "learning_rate=10",
                           "schedule=CONSTANT"}));
  ASSERT_OK_AND_ASSIGN(const auto outcome, RunRecipe(tuned, ctx_));
  ASSERT_OK_AND_ASSIGN(const RecipeRun plain, NewRun("rtn", {"group_size=8"}));
  ASSERT_OK_AND_ASSIGN(const auto expected, RunRecipe(plain, ctx_));
  const auto summary = nlohmann::json::parse(
      *ReadFile(outcome.artifact_directory + "/quantd.json"));
  for (const auto& block : summary["reconstructions"]) {
    EXPECT_EQ(block["kept"], false) << block;
  }
  ASSERT_EQ(outcome.layers.size(), expected.layers.size());
  for (size_t i = 0; i < outcome.layers.size(); ++i) {
    EXPECT_EQ(outcome.layers[i].weight_error, expected.layers[i].weight_error);
  }
}

TEST_F(TuneTest, ReportsStepLossAndRateAndIsCancelledBetweenSteps) {
  ASSERT_OK_AND_ASSIGN(const RecipeRun run,
                       NewRun("autoround", {"group_size=8", "steps=1000000"}));
  double last = -1;
  int updates = 0;
  ctx_.set_progress_sink([&](const ProgressUpdate& update) {
    EXPECT_GE(update.fraction, last) << update.detail;
    last = update.fraction;
    if (update.phase != "tune") return;
    EXPECT_THAT(update.detail,
                AllOf(HasSubstr("of 1000000"), HasSubstr("loss "),
                      HasSubstr("learning rate 0.005")));
    if (++updates == 3) ctx_.RequestCancel();
  });
  EXPECT_THAT(RunRecipe(run, ctx_), StatusIs(absl::StatusCode::kCancelled, _));
  EXPECT_EQ(updates, 3);
}

TEST_F(TuneTest, RefusesWhatItCannotLearn) {
  const auto check = [&](const std::string& stages, const std::string& what) {
    auto resolved = ParseRecipe("name: \"x\" " + stages);
    if (resolved.ok()) resolved = CompleteRecipe(*std::move(resolved), {});
    absl::Status status = resolved.status();
    if (resolved.ok()) {
      auto compiled = CompiledRecipe::Compile(*resolved);
      status = compiled.ok() ? compiled->CheckFits(model_->description())
                             : compiled.status();
    }
    EXPECT_THAT(status,
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(what)));
  };
  check(
      "stages { rtn { grid { codebook {} } } } "
      "stages { tune { variable: SIGMOID } }",
      "SIGMOID learns the rounding to an affine grid");
  check(
      "stages { half_quadratic { group_size: 8 } } "
      "stages { tune { variable: OFFSET } }",
      "a grid of its own");
  check("stages { tune {} } stages { rtn {} }",
        "comes before the solver that it repairs");
  check("stages { rtn {} } stages { tune {} } stages { tune {} }",
        "a second one after stages[1]");
  check("stages { rtn {} } stages { tune {} } stages { low_rank {} }",
        "comes after the tuning");
  check("calibration_inputs: ORIGINAL stages { rtn {} } stages { tune {} }",
        "calibration_inputs");
  check("stages { rtn {} } stages { tune { steps: 0 } }", "steps");
  check(
      "stages { rtn {} } stages { tune {} } "
      "layer_rules { pattern: \".*q_proj\" set: \"steps=3\" }",
      "concerns the whole network");
}

}  // namespace
}  // namespace quantd
