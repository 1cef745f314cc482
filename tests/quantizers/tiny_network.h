// A fixture with the tiny model opened, windows of its text drawn, and recipes
// ready to run on it.
#ifndef QUANTD_TESTS_QUANTIZERS_TINY_NETWORK_H_
#define QUANTD_TESTS_QUANTIZERS_TINY_NETWORK_H_

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "models/model.h"
#include "models/tokenizer.h"
#include "nlohmann/json.hpp"
#include "quantizers/recipe.h"
#include "quantizers/recipe_run.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"
#include "tests/testing/tiny_model.h"

namespace quantd::test {

class TinyNetworkTest : public testing::Test {
 protected:
  void SetUp() override { OpenModel({}); }

  void OpenModel(const TinyModelOptions& options) {
    WriteTinyModel(directory_.path(), options);
    ASSERT_OK_AND_ASSIGN(checkpoint_, Checkpoint::Open(directory_.path()));
    ASSERT_OK_AND_ASSIGN(model_, Model::Open(checkpoint_));
    DrawCalibration(12, 32);
  }

  // The network that a run made.
  static absl::StatusOr<std::shared_ptr<const Model>> Made(
      const RecipeOutcome& outcome) {
    ASSIGN_OR_RETURN(auto checkpoint,
                     Checkpoint::Open(outcome.artifact_directory));
    ASSIGN_OR_RETURN(auto model, Model::Open(checkpoint));
    return std::shared_ptr<const Model>(std::move(model));
  }

  // How long RunRecipe() goes on after RequestCancel(), which another thread
  // calls `wait` after the first step of `phase`.
  absl::Duration TimeToCancel(const RecipeRun& run, const std::string& phase,
                              absl::Duration wait) {
    ExecutionContext ctx(device_.get());
    absl::Notification descends;
    ctx.set_progress_sink([&](const ProgressUpdate& update) {
      if (update.phase == phase && !descends.HasBeenNotified()) {
        descends.Notify();
      }
    });
    absl::Time requested;
    std::thread canceller([&] {
      descends.WaitForNotification();
      absl::SleepFor(wait);
      requested = absl::Now();
      ctx.RequestCancel();
    });
    const absl::Status status = RunRecipe(run, ctx).status();
    const absl::Time returned = absl::Now();
    if (!descends.HasBeenNotified()) descends.Notify();
    canceller.join();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kCancelled, testing::_));
    return returned - requested;
  }

  void DrawCalibration(int64_t count, int64_t window_tokens) {
    const auto tokenizer = *LoadTokenizer(directory_.path());
    windows_ = *DrawWindows(*tokenizer->Encode(TinyText(3000)), count,
                            window_tokens, 0);
  }

  // `method` with `assignments`, in the workspace of that name; errors of
  // resolving and compiling it.
  absl::StatusOr<RecipeRun> NewRun(const std::string& method,
                                   const std::vector<std::string>& assignments,
                                   const std::string& workspace) {
    ASSIGN_OR_RETURN(const v1::Recipe recipe,
                     ResolveRecipe(method, assignments));
    ASSIGN_OR_RETURN(CompiledRecipe compiled, CompiledRecipe::Compile(recipe));
    RecipeRun run;
    run.model = model_;
    run.recipe = std::make_shared<const CompiledRecipe>(std::move(compiled));
    run.workspace = workspaces_.path() + "/" + workspace;
    run.calibration = windows_;
    return run;
  }

  absl::StatusOr<RecipeOutcome> RunMethod(
      const std::string& method, const std::vector<std::string>& assignments,
      const std::string& workspace) {
    ASSIGN_OR_RETURN(const RecipeRun run,
                     NewRun(method, assignments, workspace));
    return RunRecipe(run, ctx_);
  }

  static nlohmann::json SummaryOf(const RecipeOutcome& outcome) {
    return nlohmann::json::parse(
        *ReadFile(outcome.artifact_directory + "/quantd.json"));
  }

  TempDir directory_;
  TempDir workspaces_;
  std::shared_ptr<const Checkpoint> checkpoint_;
  std::shared_ptr<const Model> model_;
  CalibrationWindows windows_;
  const std::unique_ptr<Device> device_ = NewCpuDevice(2);
  ExecutionContext ctx_{device_.get()};
};

}  // namespace quantd::test

#endif  // QUANTD_TESTS_QUANTIZERS_TINY_NETWORK_H_
