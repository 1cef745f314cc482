#include "jobs/job_forecast.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/byte_size.h"
#include "base/status_macros.h"
#include "evaluators/attribution.h"
#include "evaluators/evaluator.h"
#include "evaluators/scoring_forecast.h"
#include "evaluators/tasks/task_definition.h"
#include "jobs/measurement_run.h"
#include "jobs/task_run.h"
#include "models/run_forecast.h"
#include "quantizers/recipe_forecast.h"

namespace quantd {
namespace {

// The longest window that calibration takes by default.
constexpr int64_t kMaxDefaultWindow = 2048;

// Anonymous memory of a worker that does nothing yet: gRPC, code relocations,
// tables. Measured.
constexpr uint64_t kProcessBytes = uint64_t{18} << 20;
// The packed operands of a matrix product, per thread. Measured; a run without
// products has none.
constexpr uint64_t kPackedBytes = uint64_t{8} << 20;

// While a text is tokenized: the text, its prepared form and its tokens; the
// tokenizer's tables and the JSON tree they come from, per byte of the file.
constexpr uint64_t kBytesPerTextByte = 10;
constexpr uint64_t kBytesPerTokenizerByte = 16;

// Vocabularies up to here are bytes and little more, and so are those of
// tokenizer files up to here, whatever room the model leaves for more; others
// have about four bytes of text in a token.
constexpr int kByteVocabulary = 512;
constexpr uint64_t kByteTokenizerBytes = uint64_t{16} << 10;
constexpr uint64_t kBytesPerToken = 4;

// Speeds for the rough time, per thread except for the last: float32 products
// through oneDNN, float64 factorisations through Eigen, rounding with packing,
// and what passes through memory and disk. Measured on two cores of a shared
// server CPU with AVX-512; good to a factor of three elsewhere.
constexpr double kProductFlops = 40e9;
constexpr double kFactorFlops = 4e9;
constexpr double kRoundedWeights = 50e6;
constexpr double kMovedBytes = 400e6;

int ThreadsOf(const v1::JobSpec& spec) {
  return spec.threads() > 0
             ? static_cast<int>(spec.threads())
             : std::max(1,
                        static_cast<int>(std::thread::hardware_concurrency()));
}

double SecondsOf(const RunWork& work, int threads) {
  return (work.product_flops / kProductFlops +
          work.factor_flops / kFactorFlops +
          work.rounded_weights / kRoundedWeights) /
             threads +
         work.moved_bytes / kMovedBytes;
}

// What every worker needs beside its run.
uint64_t ProcessBytes(const RunWork& work, int threads) {
  const uint64_t packed = work.product_flops > 0 ? kPackedBytes : 0;
  return kProcessBytes + static_cast<uint64_t>(threads) * packed;
}

int64_t TokensOf(const TextSize& text, const ModelFootprint& footprint) {
  const bool is_bytes =
      footprint.description.vocabulary_size <= kByteVocabulary ||
      (footprint.tokenizer_bytes > 0 &&
       footprint.tokenizer_bytes <= kByteTokenizerBytes);
  return static_cast<int64_t>(text.bytes / (is_bytes ? 1 : kBytesPerToken));
}

// Adds what every worker needs, and places the activations.
JobPlan Finish(RunForecast run, const ModelFootprint& footprint,
               const v1::JobSpec& spec, const TextSize& text,
               uint64_t memory_limit_bytes) {
  const int threads = ThreadsOf(spec);
  run.parts.push_back(
      {"the process and its threads", ProcessBytes(run.work, threads)});
  const uint64_t limit =
      memory_limit_bytes == 0 ? UINT64_MAX : memory_limit_bytes;
  const Placement placement = Place(run, limit);
  JobPlan plan;
  plan.activation_memory_bytes = placement.activation_memory_bytes;
  v1::Forecast& forecast = plan.forecast;
  forecast.set_peak_memory_bytes(placement.peak_bytes);
  forecast.set_least_memory_bytes(placement.least_bytes);
  // Before the run proper, and gone by then. A baseline's tokenizer is read and
  // dropped before the text is.
  const uint64_t preparing = kProcessBytes + kBytesPerTextByte * text.total() +
                             kBytesPerTokenizerByte * footprint.tokenizer_bytes;
  if (text.total() > 0 && preparing > placement.peak_bytes) {
    run.parts = {{"the process, text and tokenizer", preparing}};
    forecast.set_peak_memory_bytes(preparing);
  } else if (placement.activation_memory_bytes > 0) {
    run.parts.push_back(
        {"activations between blocks", placement.activation_memory_bytes});
  }
  if (placement.spilled_bytes > 0) {
    run.parts.push_back({"a batch of spilled activations", run.batch_bytes});
  }
  forecast.set_least_memory_bytes(std::max(forecast.least_memory_bytes(),
                                           text.total() > 0 ? preparing : 0));
  forecast.set_memory_limit_bytes(memory_limit_bytes);
  forecast.set_spilled_bytes(placement.spilled_bytes);
  forecast.set_output_bytes(run.output_bytes);
  forecast.set_disk_bytes(run.output_bytes + run.scratch_bytes +
                          placement.spilled_bytes);
  forecast.set_seconds(SecondsOf(run.work, threads) +
                       // Written and read once per block.
                       2.0 * footprint.description.blocks *
                           static_cast<double>(placement.spilled_bytes) /
                           kMovedBytes);
  std::stable_sort(run.parts.begin(), run.parts.end(),
                   [](const MemoryPart& a, const MemoryPart& b) {
                     return a.bytes > b.bytes;
                   });
  for (const MemoryPart& part : run.parts) {
    if (part.bytes == 0) continue;
    v1::ForecastPart& out = *forecast.add_parts();
    out.set_name(part.name);
    out.set_bytes(part.bytes);
  }
  return plan;
}

// A record is asked about with words of the task around it, and its choices are
// scored a second time without it.
constexpr int64_t kTaskTokensPerRecordToken = 2;

std::optional<ScoringOrder> OrderOf(v1::ScoringOrder order) {
  if (order == v1::BATCH_MAJOR) return ScoringOrder::kBatchMajor;
  if (order == v1::LAYER_MAJOR) return ScoringOrder::kLayerMajor;
  return std::nullopt;
}

GenerationShape ShapeOf(const v1::Generation& generation, const TextSize& text,
                        const ModelFootprint& footprint) {
  // How long each prompt is cannot be known; a batch of short ones is taken
  // for the whole text, up to a window of usual length.
  constexpr int64_t kUsualPrompt = 512;
  GenerationShape shape;
  const int64_t tokens = std::max<int64_t>(1, TokensOf(text, footprint));
  shape.batch_prompts = generation.batch_prompts();
  shape.prompt_tokens = std::min(tokens, kUsualPrompt);
  shape.prompts = std::max<int64_t>(1, tokens / shape.prompt_tokens);
  shape.new_tokens = generation.max_new_tokens();
  shape.beams = generation.beams();
  return shape;
}

// The longest question of a task is not known either.
GenerationShape ShapeOf(const TaskDefinition& task, int64_t tokens) {
  constexpr int64_t kUsualPrompt = 512;
  GenerationShape shape;
  shape.batch_prompts = GenerationOptions().batch_prompts;
  shape.prompt_tokens = std::min(tokens, kUsualPrompt);
  shape.prompts = std::max<int64_t>(1, tokens / shape.prompt_tokens);
  shape.new_tokens = task.generation.max_new_tokens;
  shape.beams = task.generation.beams;
  return shape;
}

}  // namespace

int64_t CalibrationWindowTokens(const v1::Calibration& options,
                                const ModelDescription& model) {
  if (options.window_tokens() > 0) return options.window_tokens();
  return model.context_tokens == 0
             ? kMaxDefaultWindow
             : std::min<int64_t>(model.context_tokens, kMaxDefaultWindow);
}

JobPlan PlanQuantizeJob(const CompiledRecipe& recipe,
                        const ModelFootprint& footprint,
                        const v1::JobSpec& spec, const TextSize& text,
                        uint64_t memory_limit_bytes) {
  const v1::Calibration& calibration = spec.quantize().calibration();
  CalibrationShape shape;
  shape.windows = calibration.windows();
  shape.window_tokens =
      CalibrationWindowTokens(calibration, footprint.description);
  return Finish(ForecastRecipe(recipe, footprint, shape), footprint, spec,
                recipe.needs().any() ? text : TextSize(), memory_limit_bytes);
}

absl::StatusOr<JobPlan> PlanEvaluateJob(const ModelFootprint& footprint,
                                        const ModelFootprint* baseline,
                                        const v1::JobSpec& spec,
                                        const TextSize& text,
                                        uint64_t memory_limit_bytes) {
  const v1::EvaluateSpec& evaluate = spec.evaluate();
  if (evaluate.has_generation()) {
    JobPlan plan =
        Finish(ForecastGeneration(
                   footprint, ShapeOf(evaluate.generation(), text, footprint)),
               footprint, spec, text, memory_limit_bytes);
    plan.forecast.set_scoring_order(v1::BATCH_MAJOR);
    return plan;
  }
  // One metric after the other: the largest decides about memory and order.
  ScoringShape largest;
  RunWork work;
  std::vector<ScoringShape> shapes;
  bool pairs = false;
  const auto shape_of = [&](const WindowShape& window) {
    ScoringShape shape;
    shape.window_tokens = window.tokens;
    shape.windows =
        std::max<int64_t>(1, TokensOf(text, footprint) / window.text_tokens);
    if (window.max_windows > 0 &&
        (text.bytes == 0 || window.max_windows < shape.windows)) {
      shape.windows = window.max_windows;
    }
    shape.batch_windows = evaluate.batch_windows();
    return shape;
  };
  for (const std::string& metric : MetricsToRun(evaluate.metrics())) {
    EvaluatorOptions options;
    options.max_windows = evaluate.max_windows();
    ASSIGN_OR_RETURN(const std::unique_ptr<Evaluator> evaluator,
                     NewEvaluator(metric, options));
    ASSIGN_OR_RETURN(const WindowShape window,
                     evaluator->Shape(footprint.description.context_tokens));
    ScoringShape shape = shape_of(window);
    if (evaluator->compares()) {
      shape.baseline = baseline;
      pairs = true;
    }
    shapes.push_back(shape);
    if (shape.windows * shape.window_tokens >=
        largest.windows * largest.window_tokens) {
      largest = shape;
    }
  }
  GenerationShape writing;
  for (int i = 0; i < evaluate.tasks_size(); ++i) {
    ASSIGN_OR_RETURN(const TaskDefinition task,
                     DefinitionOf(evaluate.tasks(i)));
    TextSize records;
    if (static_cast<size_t>(i) < text.task_bytes.size()) {
      records.bytes = text.task_bytes[static_cast<size_t>(i)];
    }
    const int64_t tokens = std::max<int64_t>(
        1, TokensOf(records, footprint) * kTaskTokensPerRecordToken);
    if (task.kind == TaskKind::kGenerate) {
      const GenerationShape own = ShapeOf(task, tokens);
      if (own.prompt_tokens + own.new_tokens >
          writing.prompt_tokens + writing.new_tokens) {
        writing = own;
      }
      continue;
    }
    ScoringShape shape;
    shape.window_tokens =
        std::min<int64_t>(tokens, int64_t{evaluate.batch_tokens()});
    shape.windows = (tokens + shape.window_tokens - 1) / shape.window_tokens;
    shape.batch_windows = 1;
    shape.cached_rows = kCachedRowsPerToken * shape.window_tokens;
    shapes.push_back(shape);
    if (shape.windows * shape.window_tokens >=
        largest.windows * largest.window_tokens) {
      largest = shape;
    }
  }
  // What holds whole models while no other block is in memory, one run after
  // the other: the largest decides.
  std::vector<RunForecast> whole;
  if (writing.prompts > 0) {
    whole.push_back(ForecastGeneration(footprint, writing));
  }
  for (const std::string& metric :
       MetricsToRun(evaluate.metrics(), MetricKind::kEfficiency)) {
    ASSIGN_OR_RETURN(const EfficiencyOptions options,
                     EfficiencyOptionsOf(metric));
    whole.push_back(ForecastEfficiency(footprint, baseline, options));
  }
  for (const std::string& metric :
       MetricsToRun(evaluate.metrics(), MetricKind::kAttribution)) {
    ASSIGN_OR_RETURN(const ConventionWindows windows,
                     AttributionWindowsOf(metric, evaluate));
    ASSIGN_OR_RETURN(const WindowShape window,
                     windows.Shape(footprint.description.context_tokens));
    ScoringShape shape = shape_of(window);
    shape.baseline = baseline;
    whole.push_back(ForecastAttribution(footprint, shape,
                                        evaluate.attribution_granularity()));
  }
  std::vector<MemoryPart> whole_parts;
  for (RunForecast& run : whole) {
    work.product_flops += run.work.product_flops;
    work.moved_bytes += run.work.moved_bytes;
    if (SumOf(run.parts) > SumOf(whole_parts)) whole_parts = run.parts;
  }
  if (shapes.empty()) {
    RunForecast run;
    run.parts = std::move(whole_parts);
    run.work = work;
    JobPlan plan =
        Finish(std::move(run), footprint, spec, text, memory_limit_bytes);
    plan.forecast.set_scoring_order(v1::BATCH_MAJOR);
    return plan;
  }
  // What compares has both models loaded from the first metric to the last.
  largest.baseline = pairs ? baseline : nullptr;
  // Both orders do the same products.
  const uint64_t process = ProcessBytes(
      ForecastScoring(footprint, largest, ScoringOrder::kLayerMajor).work,
      ThreadsOf(spec));
  const uint64_t for_scoring =
      memory_limit_bytes == 0
          ? UINT64_MAX
          : memory_limit_bytes - std::min(memory_limit_bytes, process);
  ScoringPlan scoring = PlanScoring(
      footprint, largest, OrderOf(evaluate.scoring_order()), for_scoring);
  for (const ScoringShape& shape : shapes) {
    const RunWork own = ForecastScoring(footprint, shape, scoring.order).work;
    work.product_flops += own.product_flops;
    work.moved_bytes += own.moved_bytes;
  }
  if (SumOf(whole_parts) > SumOf(scoring.forecast.parts)) {
    scoring.forecast.parts = std::move(whole_parts);
  }
  scoring.forecast.work = work;
  JobPlan plan = Finish(std::move(scoring.forecast), footprint, spec, text,
                        memory_limit_bytes);
  plan.scoring_order = scoring.order;
  plan.forecast.set_scoring_order(scoring.order == ScoringOrder::kLayerMajor
                                      ? v1::LAYER_MAJOR
                                      : v1::BATCH_MAJOR);
  return plan;
}

absl::Status CheckForecast(const v1::Forecast& forecast,
                           uint64_t free_disk_bytes) {
  const uint64_t limit = forecast.memory_limit_bytes();
  if (limit > 0 && forecast.least_memory_bytes() > limit) {
    std::string advice =
        "allow it more (memory_bytes of the job, --job-memory of the server)";
    if (forecast.scoring_order() == v1::BATCH_MAJOR) {
      absl::StrAppend(&advice, ", score layer-major");
    }
    if (forecast.scoring_order() != v1::SCORING_ORDER_AUTO) {
      absl::StrAppend(&advice, ", or score fewer windows at a time");
    } else {
      absl::StrAppend(&advice, ", or calibrate with shorter windows");
    }
    return absl::ResourceExhaustedError(absl::StrCat(
        "the job needs at least ", ByteSizeText(forecast.least_memory_bytes()),
        " of memory and may use ", ByteSizeText(limit), ". At its worst: ",
        absl::StrJoin(forecast.parts(), ", ",
                      [](std::string* out, const v1::ForecastPart& part) {
                        absl::StrAppend(out, part.name(), " ",
                                        ByteSizeText(part.bytes()));
                      }),
        ". To run it, ", advice));
  }
  if (forecast.disk_bytes() > free_disk_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the job needs ", ByteSizeText(forecast.disk_bytes()), " of disk (",
        ByteSizeText(forecast.output_bytes()), " for its output, ",
        ByteSizeText(forecast.disk_bytes() - forecast.output_bytes() -
                     forecast.spilled_bytes()),
        " for a transformed checkpoint, ",
        ByteSizeText(forecast.spilled_bytes()),
        " for activations that do not fit its memory of ", ByteSizeText(limit),
        ") and ", ByteSizeText(free_disk_bytes),
        " are free. To run it, free disk or allow it more memory"));
  }
  return absl::OkStatus();
}

}  // namespace quantd
