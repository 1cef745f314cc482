#include "evaluators/efficiency.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <random>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "evaluators/decoding_session.h"
#include "evaluators/scoring_forecast.h"
#include "evaluators/token_statistics.h"
#include "models/json_text.h"

namespace quantd {
namespace {

constexpr int kMaxTokens = 1 << 20;

// CPU time below this part of wall time times threads is worth a warning: with
// all threads at work it is near 1.
constexpr double kBusyPart = 0.5;

// A step is a product of matrices with a vector, which waits for memory; other
// products are about so much faster per operation. For forecasts.
constexpr int64_t kStepSlowness = 10;

absl::string_view NameOf(ComputeType type) {
  switch (type) {
    case ComputeType::kF32:
      return "F32";
    case ComputeType::kBF16:
      return "BF16";
    case ComputeType::kF32Strict:
      return "F32_STRICT";
  }
  return "";
}

// A number behind `prefix` at the start of `rest`, which both leave.
bool TakeNumber(absl::string_view prefix, absl::string_view* rest, int* value) {
  if (rest->substr(0, prefix.size()) != prefix) return false;
  rest->remove_prefix(prefix.size());
  const absl::string_view digits = rest->substr(0, rest->find('-'));
  rest->remove_prefix(digits.size());
  // Digits only, so that a name has one spelling.
  return digits.find_first_not_of("0123456789") == absl::string_view::npos &&
         !digits.empty() && digits[0] != '0' &&
         absl::SimpleAtoi(digits, value) && *value <= kMaxTokens;
}

// Seconds that passed on the clock and on the CPUs.
struct Elapsed {
  double wall = 0;
  double cpu = 0;

  void AddTo(v1::ProcessTime* time) const {
    time->set_wall_seconds(time->wall_seconds() + wall);
    time->set_cpu_seconds(time->cpu_seconds() + cpu);
  }
};

class Stopwatch {
 public:
  explicit Stopwatch(ProcessMeter& meter)
      : meter_(meter), cpu_(meter.CpuSeconds()), wall_(meter.WallSeconds()) {}

  Elapsed Read() const {
    Elapsed elapsed;
    elapsed.wall = meter_.WallSeconds() - wall_;
    elapsed.cpu = meter_.CpuSeconds() - cpu_;
    return elapsed;
  }

 private:
  ProcessMeter& meter_;
  double cpu_, wall_;
};

absl::StatusOr<double> RateOf(int tokens, double seconds) {
  if (!(seconds > 0)) {
    return absl::InternalError(
        absl::StrCat("the clock did not advance over ", tokens, " tokens"));
  }
  return tokens / seconds;
}

// REQUIRES: at least one value.
v1::Measurement MeasurementOf(absl::Span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  const double n = static_cast<double>(values.size());
  const double mean = sum / n;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  v1::Measurement measurement;
  measurement.set_mean(mean);
  measurement.set_deviation(values.size() > 1 ? std::sqrt(squares / (n - 1))
                                              : 0);
  measurement.mutable_values()->Add(values.begin(), values.end());
  return measurement;
}

// REQUIRES: as many of both, positive.
v1::SpeedRatio RatioOf(const v1::Measurement& target,
                       const v1::Measurement& baseline) {
  std::vector<double> differences;
  for (int i = 0; i < target.values_size(); ++i) {
    differences.push_back(std::log(target.values(i) / baseline.values(i)));
  }
  const v1::Measurement log_ratio = MeasurementOf(differences);
  v1::SpeedRatio ratio;
  ratio.set_ratio(std::exp(log_ratio.mean()));
  ratio.set_error(ratio.ratio() * log_ratio.deviation() /
                  std::sqrt(static_cast<double>(differences.size())));
  return ratio;
}

// REQUIRES: at least one step.
v1::TokenLatency LatencyOf(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  v1::TokenLatency latency;
  latency.set_steps(seconds.size());
  latency.set_mean_seconds(MeasurementOf(seconds).mean());
  latency.set_median_seconds(PercentileOf(seconds, 0.5));
  latency.set_p90_seconds(PercentileOf(seconds, 0.9));
  latency.set_p99_seconds(PercentileOf(seconds, 0.99));
  return latency;
}

// The tokens of a repetition, the same for all models.
struct RandomTokens {
  std::vector<int32_t> prompt;
  int32_t behind_prompt = 0;
  std::vector<int32_t> alone;  // one at a time
};

// The most memory that the process has had since the object was made.
class ResidentPeak {
 public:
  explicit ResidentPeak(ProcessMeter& meter)
      : meter_(meter), before_(meter.PeakResidentBytes()) {}

  void Sample() { sampled_ = std::max(sampled_, meter_.ResidentBytes()); }

  // The kernel's own peak tells only where it has risen.
  void Report(v1::EfficiencyReport* report) {
    Sample();
    const uint64_t peak = meter_.PeakResidentBytes();
    report->set_peak_is_sampled(peak <= before_);
    report->set_peak_resident_bytes(peak > before_ ? peak : sampled_);
  }

 private:
  ProcessMeter& meter_;
  const uint64_t before_;
  uint64_t sampled_ = 0;
};

// One model, its blocks in memory.
class MeasuredModel {
 public:
  static absl::StatusOr<MeasuredModel> Load(const Model& model,
                                            ProcessMeter& meter,
                                            ExecutionContext& ctx) {
    const ModelDescription& description = model.description();
    if (!description.predicts_next_token) {
      return absl::InvalidArgumentError(absl::StrCat(
          model.checkpoint().directory(), ": ", description.architecture,
          " predicts masked tokens, not the next one, and "
          "generates nothing whose speed could be measured"));
    }
    MeasuredModel measured(&model);
    const uint64_t resident = meter.ResidentBytes();
    const Stopwatch watch(meter);
    for (int k = 0; k < model.block_count(); ++k) {
      RETURN_IF_ERROR(ctx.CheckCancelled());
      ASSIGN_OR_RETURN(std::unique_ptr<Block> block, model.LoadBlock(k, ctx));
      measured.blocks_.push_back(std::move(block));
    }
    // The first logits read the output matrix.
    RETURN_IF_ERROR(
        model.Logits(Tensor::Zeros({1, description.hidden_size}), ctx)
            .status());
    v1::ModelEfficiency& report = measured.report_;
    report.set_load_seconds(watch.Read().wall);
    const uint64_t now = meter.ResidentBytes();
    report.set_loaded_bytes(now - std::min(now, resident));
    report.set_weight_bytes(model.checkpoint().tensor_bytes());
    return measured;
  }

  // Both passes once, uncounted; the second with one token, as llama-bench has
  // it.
  absl::Status WarmUp(const RandomTokens& tokens, ExecutionContext& ctx) {
    DecodingSession session(*model_, blocks_);
    RETURN_IF_ERROR(session.Advance({tokens.prompt}, ctx).status());
    DecodingSession alone(*model_, blocks_);
    return alone.Advance({{tokens.alone[0]}}, ctx).status();
  }

  absl::Status RunPrompt(const RandomTokens& tokens, ProcessMeter& meter,
                         ExecutionContext& ctx) {
    const Stopwatch watch(meter);
    DecodingSession session(*model_, blocks_);
    RETURN_IF_ERROR(session.Advance({tokens.prompt}, ctx).status());
    const Elapsed prompt = watch.Read();
    RETURN_IF_ERROR(session.Advance({{tokens.behind_prompt}}, ctx).status());
    first_token_.push_back(watch.Read().wall);
    ASSIGN_OR_RETURN(
        const double rate,
        RateOf(static_cast<int>(tokens.prompt.size()), prompt.wall));
    prompt_.push_back(rate);
    prompt.AddTo(report_.mutable_prompt_time());
    return absl::OkStatus();
  }

  // `between_steps` is not measured.
  absl::Status RunGeneration(const RandomTokens& tokens, ProcessMeter& meter,
                             absl::FunctionRef<void()> between_steps,
                             ExecutionContext& ctx) {
    DecodingSession session(*model_, blocks_);
    Elapsed all;
    for (const int32_t token : tokens.alone) {
      const Stopwatch watch(meter);
      RETURN_IF_ERROR(session.Advance({{token}}, ctx).status());
      const Elapsed step = watch.Read();
      steps_.push_back(step.wall);
      all.wall += step.wall;
      all.cpu += step.cpu;
      between_steps();
    }
    ASSIGN_OR_RETURN(const double rate,
                     RateOf(static_cast<int>(tokens.alone.size()), all.wall));
    generation_.push_back(rate);
    all.AddTo(report_.mutable_generation_time());
    return absl::OkStatus();
  }

  v1::ModelEfficiency Report() const {
    v1::ModelEfficiency report = report_;
    *report.mutable_prompt() = MeasurementOf(prompt_);
    *report.mutable_generation() = MeasurementOf(generation_);
    *report.mutable_first_token() = MeasurementOf(first_token_);
    *report.mutable_latency() = LatencyOf(steps_);
    return report;
  }

 private:
  explicit MeasuredModel(const Model* model) : model_(model) {}

  const Model* model_;
  std::vector<std::unique_ptr<Block>> blocks_;
  v1::ModelEfficiency report_;  // times and bytes
  std::vector<double> prompt_, generation_, first_token_, steps_;
};

void WarnIfTooLong(const Model& model, const EfficiencyOptions& options,
                   ExecutionContext& ctx) {
  const int64_t longest =
      std::max<int64_t>(options.prompt_tokens + 1, options.new_tokens);
  const int64_t context = model.description().context_tokens;
  if (context == 0 || longest <= context) return;
  ctx.ReportWarning(absl::StrCat(options.name(), ": ", longest,
                                 " tokens exceed the context of ", context,
                                 " of ", model.checkpoint().directory()));
}

void WarnIfBusy(const v1::EfficiencyReport& report, ExecutionContext& ctx) {
  const uint32_t cores = std::thread::hardware_concurrency();
  if (cores > 0 && report.other_running_threads() + report.threads() > cores) {
    ctx.ReportWarning(absl::StrFormat(
        "%s: %u other threads ran on %u cores when it began (load average "
        "%.1f): its speeds are those of a shared machine",
        report.metric(), report.other_running_threads(), cores,
        report.load_average()));
  }
  const v1::ProcessTime* const times[] = {
      &report.target().prompt_time(), &report.target().generation_time(),
      &report.baseline().prompt_time(), &report.baseline().generation_time()};
  double cpu = 0, wall = 0;
  for (const v1::ProcessTime* time : times) {
    cpu += time->cpu_seconds();
    wall += time->wall_seconds();
  }
  const double possible = wall * report.threads();
  if (cpu < kBusyPart * possible) {
    ctx.ReportWarning(absl::StrFormat(
        "%s: %.3g s of CPU time in %.3g s on %u threads: other processes held "
        "the cores, or there was too little work for so many threads",
        report.metric(), cpu, wall, report.threads()));
  }
}

}  // namespace

std::string EfficiencyOptions::name() const {
  return absl::StrCat("efficiency/pp", prompt_tokens, "-tg", new_tokens);
}

absl::StatusOr<EfficiencyOptions> ParseEfficiency(
    absl::string_view parameters) {
  EfficiencyOptions options;
  absl::string_view rest = parameters;
  if (!TakeNumber("pp", &rest, &options.prompt_tokens) ||
      !TakeNumber("-tg", &rest, &options.new_tokens) || !rest.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "metric ", Quoted(absl::StrCat("efficiency/", parameters)),
        " is not efficiency/ppN-tgM with numbers N and M in 1..", kMaxTokens));
  }
  return options;
}

absl::StatusOr<v1::EfficiencyReport> MeasureEfficiency(
    const Model& model, const Model* baseline, const EfficiencyOptions& options,
    ProcessMeter& meter, absl::FunctionRef<void(double part)> on_progress,
    ExecutionContext& ctx) {
  v1::EfficiencyReport report;
  report.set_metric(options.name());
  report.set_prompt_tokens(static_cast<uint32_t>(options.prompt_tokens));
  report.set_new_tokens(static_cast<uint32_t>(options.new_tokens));
  report.set_repetitions(static_cast<uint32_t>(options.repetitions));
  report.set_seed(options.seed);
  report.set_threads(static_cast<uint32_t>(ctx.device().pool().threads()));
  report.set_compute_type(std::string(NameOf(ctx.compute_type())));
  const MachineLoad load = meter.Load();
  report.set_load_average(load.average);
  report.set_other_running_threads(load.other_running_threads);
  ResidentPeak peak(meter);

  std::vector<MeasuredModel> models;
  int vocabulary = model.description().vocabulary_size;
  for (const Model* each : {&model, baseline}) {
    if (each == nullptr) continue;
    WarnIfTooLong(*each, options, ctx);
    vocabulary = std::min(vocabulary, each->description().vocabulary_size);
    ASSIGN_OR_RETURN(MeasuredModel measured,
                     MeasuredModel::Load(*each, meter, ctx));
    models.push_back(std::move(measured));
    peak.Sample();
  }

  std::mt19937_64 engine(options.seed);
  std::uniform_int_distribution<int32_t> any_token(0, vocabulary - 1);
  const auto draw = [&] {
    RandomTokens tokens;
    for (int i = 0; i < options.prompt_tokens; ++i) {
      tokens.prompt.push_back(any_token(engine));
    }
    tokens.behind_prompt = any_token(engine);
    for (int i = 0; i < options.new_tokens; ++i) {
      tokens.alone.push_back(any_token(engine));
    }
    return tokens;
  };
  // Of equal weight: warm-up, prompt, and every step.
  const double steps = static_cast<double>(models.size()) *
                       (1.0 + options.repetitions * (1.0 + options.new_tokens));
  double done = 0;
  const auto step_done = [&] {
    peak.Sample();
    on_progress(++done / steps);
  };
  const RandomTokens warm_up = draw();
  for (MeasuredModel& each : models) {
    RETURN_IF_ERROR(each.WarmUp(warm_up, ctx));
    step_done();
  }
  for (int r = 0; r < options.repetitions; ++r) {
    const RandomTokens tokens = draw();
    for (size_t i = 0; i < models.size(); ++i) {
      // In turns, so that a steady drift hits both alike.
      MeasuredModel& each = models[r % 2 == 0 ? i : models.size() - 1 - i];
      RETURN_IF_ERROR(ctx.CheckCancelled());
      RETURN_IF_ERROR(each.RunPrompt(tokens, meter, ctx));
      step_done();
      RETURN_IF_ERROR(each.RunGeneration(tokens, meter, step_done, ctx));
    }
  }

  *report.mutable_target() = models[0].Report();
  if (baseline != nullptr) {
    *report.mutable_baseline() = models[1].Report();
    *report.mutable_prompt_ratio() =
        RatioOf(report.target().prompt(), report.baseline().prompt());
    *report.mutable_generation_ratio() =
        RatioOf(report.target().generation(), report.baseline().generation());
  }
  peak.Report(&report);
  WarnIfBusy(report, ctx);
  return report;
}

RunForecast ForecastEfficiency(const ModelFootprint& footprint,
                               const ModelFootprint* baseline,
                               const EfficiencyOptions& options) {
  GenerationShape shape;
  shape.prompts = options.repetitions + 1;
  shape.prompt_tokens = options.prompt_tokens;
  shape.new_tokens = options.new_tokens;
  shape.batch_prompts = 1;
  RunForecast forecast = ForecastGeneration(footprint, shape);
  GenerationShape slow_steps = shape;
  slow_steps.new_tokens *= kStepSlowness;
  forecast.work = ForecastGeneration(footprint, slow_steps).work;
  if (baseline == nullptr) return forecast;
  // Both stay in memory, part by part.
  const RunForecast second = ForecastEfficiency(*baseline, nullptr, options);
  for (size_t i = 0; i < forecast.parts.size(); ++i) {
    forecast.parts[i].bytes += second.parts[i].bytes;
  }
  forecast.work.product_flops += second.work.product_flops;
  forecast.work.moved_bytes += second.work.moved_bytes;
  return forecast;
}

std::vector<v1::MetricInfo> EfficiencyMetrics() {
  v1::MetricInfo info;
  info.set_pattern("efficiency/ppN-tgM");
  info.set_help(
      "Tokens per second over a prompt of N random tokens and over M tokens "
      "one "
      "at a time, time to the first token, latency of tokens, time to load, "
      "memory. Needs no text; a baseline is measured in turns.");
  info.set_citation("llama.cpp, llama-bench: pp and tg");
  return {info};
}

}  // namespace quantd
