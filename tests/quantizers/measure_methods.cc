#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/file.h"
#include "evaluators/evaluator.h"
#include "evaluators/scorer.h"
#include "models/model.h"
#include "models/tokenizer.h"
#include "quantizers/recipe.h"
#include "quantizers/recipe_run.h"

namespace quantd {
namespace {

double Nll(const Model& model, const Tokenizer& tokenizer,
           const std::string& text, uint64_t windows, ExecutionContext& ctx) {
  EvaluatorOptions options;
  options.max_windows = windows;
  auto evaluator = *NewEvaluator("ppl/gptq-512", options);
  const auto requests = *evaluator->Requests(text, tokenizer);
  auto scorer = *Scorer::Load(model, {}, ctx);
  const absl::Status s = scorer.Score(
      requests,
      [&](size_t i, absl::Span<const double> nll) {
        return evaluator->Fold(i, nll);
      },
      [](double) {}, ctx);
  v1::Evaluation evaluation;
  if (!s.ok() || !evaluator->Report(&evaluation).ok()) return NAN;
  return evaluation.perplexities(0).perplexity();
}

int Main(int argc, char** argv) {
  const std::string directory = argv[1];
  const std::string text = *ReadFile(argv[2]);
  const std::string calibration = *ReadFile(argv[3]);
  const uint64_t windows = std::stoull(argv[4]);
  const auto device = NewCpuDevice(2);
  ExecutionContext ctx(device.get());
  std::shared_ptr<const Checkpoint> checkpoint = *Checkpoint::Open(directory);
  std::shared_ptr<const Model> model = *Model::Open(checkpoint);
  const auto tokenizer = *LoadTokenizer(directory);
  const double base = Nll(*model, *tokenizer, text, windows, ctx);
  std::printf("%-70s %8.4f %9.4f\n", "original", 32.0, base);
  std::fflush(stdout);
  for (int i = 5; i < argc; ++i) {
    std::vector<std::string> parts = absl::StrSplit(argv[i], ' ');
    const std::string method = parts[0];
    parts.erase(parts.begin());
    const auto recipe = ResolveRecipe(method, parts);
    if (!recipe.ok()) {
      std::printf("%s: %s\n", argv[i], recipe.status().ToString().c_str());
      continue;
    }
    RecipeRun run;
    run.model = model;
    run.recipe = std::make_shared<const CompiledRecipe>(
        *CompiledRecipe::Compile(*recipe));
    run.workspace = "/tmp/grids_measure_ws";
    std::filesystem::remove_all(run.workspace);
    if (run.recipe->needs().any()) {
      run.calibration =
          *DrawWindows(*tokenizer->Encode(calibration), 128, 512, 0);
    }
    std::string notes;
    ctx.set_note_sink([&](absl::string_view note) {
      if (note.find("exponent") != note.npos) notes = std::string(note);
    });
    const absl::Time start = absl::Now();
    const auto outcome = RunRecipe(run, ctx);
    if (!outcome.ok()) {
      std::printf("%s: %s\n", argv[i], outcome.status().ToString().c_str());
      continue;
    }
    const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
    double error = 0;
    for (const auto& l : outcome->layers) error += l.weight_error;
    std::shared_ptr<const Checkpoint> compressed =
        *Checkpoint::Open(outcome->artifact_directory);
    const auto quantized = *Model::Open(compressed);
    const double ppl = Nll(*quantized, *tokenizer, text, windows, ctx);
    std::printf("%-70s %8.4f %9.4f %+8.4f%% werr %.6f %.1fs %s\n", argv[i],
                outcome->bits_per_weight, ppl, 100 * (ppl / base - 1),
                error / static_cast<double>(outcome->layers.size()), seconds,
                notes.c_str());
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace quantd

int main(int argc, char** argv) { return quantd::Main(argc, argv); }
