// large_check [FLAGS]: quantizes and scores the generated checkpoint of
// large_checkpoint.h with the real server, workers and client, and holds the
// memory they used against their bounds and against their forecasts.
//
//   --dir DIR      where checkpoint and server data lie (about 6 GB); kept. By
//                  default a temporary directory, removed at the end.
//   --steps A,B    only these of rtn, gptq, perplexity (which reads gptq's
//                  result), orders (perplexity batch-major, 5 GB of memory,
//                  compared with perplexity's)
//   --threads N    compute threads of the jobs; 0 = all
//   --blocks N     of the checkpoint, if it is not there yet; 22 by default.
//   The
//                  memory at the worst moment does not depend on it, but for
//                  orders.
//
// Exit code 0 when every step keeps its bound and its forecast, 1 when one
// does not or fails, 2 on wrong usage.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "nlohmann/json.hpp"
#include "tests/integration/process.h"
#include "tests/large/large_checkpoint.h"

namespace quantd::test {
namespace {

namespace fs = std::filesystem;

// How far the measured peak may be from the forecast.
constexpr double kForecastTolerance = 0.15;
constexpr double kPerplexityTolerance = 1e-6;
constexpr uint64_t kDiskBytes = uint64_t{7} << 30;

struct Step {
  std::string name;
  std::string title;
  std::vector<std::string> command;
  // Of anonymous memory; also what the job is allowed. 0: none.
  uint64_t bound_bytes = 0;
};

std::vector<Step> Steps(const std::string& directory) {
  const std::vector<std::string> score = {
      "evaluate", "large-gptq",         "--metric",      "ppl/gptq-512",
      "--text",   directory + "/e.txt", "--max-windows", "64"};
  const auto with = [](std::vector<std::string> command,
                       std::initializer_list<const char*> more) {
    command.insert(command.end(), more.begin(), more.end());
    return command;
  };
  const std::vector<std::string> quantize = {
      "quantize", "large", "--set", "bits=4", "--set", "group_size=128"};
  std::vector<std::string> gptq =
      with(quantize, {"--method", "gptq", "--windows", "32", "--window-tokens",
                      "512", "--name", "large-gptq", "--calibration"});
  gptq.push_back(directory + "/c.txt");
  return {
      {"rtn", "RTN int4 g128",
       with(quantize, {"--method", "rtn", "--name", "large-rtn"}), 700000000},
      {"gptq", "GPTQ int4 g128, 32 windows of 512", gptq, 1800000000},
      {"perplexity", "layer-major perplexity, 64 windows of 512",
       with(score, {"--order", "layer-major"}), 1500000000},
      {"orders", "batch-major perplexity, 64 windows of 512",
       with(score, {"--order", "batch-major"}), 0},
  };
}

struct Outcome {
  bool ok = false;
  double forecast_bytes = 0;
  double peak_bytes = 0;
  double forecast_seconds = 0;
  double seconds = 0;
  double perplexity = 0;
};

double Metric(const nlohmann::json& metrics, const char* name) {
  return metrics.contains(name) ? metrics[name].get<double>() : 0;
}

Outcome Run(const std::string& server, const Step& step,
            const std::string& threads) {
  Outcome outcome;
  std::vector<std::string> command = step.command;
  command.insert(command.end(), {"--wait", "--threads", threads});
  if (step.bound_bytes > 0) {
    command.insert(command.end(), {"--memory", absl::StrCat(step.bound_bytes)});
  }
  const CommandResult run = RunQuantctl(server, command);
  if (run.exit_code != 0) {
    std::printf("%s failed:\n%s\n", step.title.c_str(), run.err.c_str());
    return outcome;
  }
  const CommandResult newest =
      RunQuantctl(server, {"jobs", "list", "--limit", "1", "--json"});
  const auto job = nlohmann::json::parse(newest.out, nullptr, false);
  if (!job.is_object() || !job.contains("result")) return outcome;
  const nlohmann::json& metrics = job["result"]["metrics"];
  outcome.ok = true;
  outcome.forecast_bytes = Metric(metrics, "forecast_peak_memory_bytes");
  outcome.peak_bytes = Metric(metrics, "peak_anonymous_memory_bytes");
  outcome.forecast_seconds = Metric(metrics, "forecast_seconds");
  outcome.seconds = job["result"]["wall_seconds"].get<double>();
  outcome.perplexity = Metric(metrics, "ppl/gptq-512/first-64");
  return outcome;
}

std::string Megabytes(double bytes) {
  return absl::StrFormat("%.0f MB", bytes / 1e6);
}

// Prints the step's line; whether it is as it should be.
bool Judge(const Step& step, const Outcome& outcome) {
  const double difference =
      outcome.forecast_bytes > 0
          ? outcome.peak_bytes / outcome.forecast_bytes - 1
          : INFINITY;
  const bool in_bound =
      step.bound_bytes == 0 ||
      outcome.peak_bytes <= static_cast<double>(step.bound_bytes);
  const bool as_forecast = std::fabs(difference) <= kForecastTolerance;
  std::string verdict = in_bound && as_forecast ? "ok" : "";
  if (!in_bound) verdict = "OVER THE BOUND";
  if (!as_forecast) {
    absl::StrAppend(&verdict, verdict.empty() ? "" : ", ", "NOT AS FORECAST");
  }
  std::printf("%-42s %9s %9s %9s %+7.1f %% %8.0f s %8.0f s  %s\n",
              step.title.c_str(), Megabytes(outcome.forecast_bytes).c_str(),
              Megabytes(outcome.peak_bytes).c_str(),
              step.bound_bytes > 0
                  ? Megabytes(static_cast<double>(step.bound_bytes)).c_str()
                  : "-",
              100 * difference, outcome.forecast_seconds, outcome.seconds,
              verdict.c_str());
  std::fflush(stdout);
  return in_bound && as_forecast;
}

struct Flags {
  std::string directory;
  std::set<std::string> steps = {"rtn", "gptq", "perplexity"};
  std::string threads = "0";
  int blocks = LargeCheckpointOptions().blocks;
};

bool ParseFlags(int argc, char** argv, Flags* flags) {
  for (int i = 1; i < argc; i += 2) {
    if (i + 1 == argc) return false;
    const std::string flag = argv[i];
    if (flag == "--dir") {
      flags->directory = argv[i + 1];
    } else if (flag == "--steps") {
      flags->steps = absl::StrSplit(argv[i + 1], ',', absl::SkipEmpty());
    } else if (flag == "--threads") {
      flags->threads = argv[i + 1];
    } else if (flag == "--blocks") {
      if (!absl::SimpleAtoi(argv[i + 1], &flags->blocks) || flags->blocks < 1) {
        return false;
      }
    } else {
      return false;
    }
  }
  return true;
}

absl::Status Prepare(const std::string& directory, int blocks) {
  RETURN_IF_ERROR(CreateDirectories(directory));
  const std::string model = directory + "/model";
  if (!fs::exists(model + "/config.json")) {
    ASSIGN_OR_RETURN(const uint64_t free, FreeDiskBytes(directory));
    if (free < kDiskBytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          directory, ": ", free, " bytes free, ", kDiskBytes, " are needed"));
    }
    const absl::Time start = absl::Now();
    LargeCheckpointOptions options;
    options.blocks = blocks;
    RETURN_IF_ERROR(WriteLargeCheckpoint(model, options));
    std::printf("checkpoint written in %.0f s\n",
                absl::ToDoubleSeconds(absl::Now() - start));
  }
  RETURN_IF_ERROR(WriteFileDurably(directory + "/c.txt", LargeText(40000, 1)));
  return WriteFileDurably(directory + "/e.txt", LargeText(64 * 512 + 100, 2));
}

int Check(const Flags& flags, const std::string& directory) {
  if (const absl::Status status = Prepare(directory, flags.blocks);
      !status.ok()) {
    std::fprintf(stderr, "large_check: %s\n", status.ToString().c_str());
    return 1;
  }
  // A new data directory per run: names are free.
  const std::string data = absl::StrCat(directory, "/data");
  if (flags.steps.count("gptq") > 0) fs::remove_all(data);
  auto server = ServerProcess::Start(data);
  if (!server.ok()) {
    std::fprintf(stderr, "large_check: %s\n",
                 server.status().ToString().c_str());
    return 1;
  }
  const std::string address = (*server)->address();
  RunQuantctl(address, {"models", "add", "large", directory + "/model"});
  std::printf("%-42s %9s %9s %9s %9s %10s %10s\n", "", "forecast", "measured",
              "bound", "off by", "forecast", "wall");
  bool good = true;
  double perplexity = 0;
  for (const Step& step : Steps(directory)) {
    if (flags.steps.count(step.name) == 0) continue;
    const Outcome outcome = Run(address, step, flags.threads);
    good = outcome.ok && Judge(step, outcome) && good;
    if (step.name == "perplexity") perplexity = outcome.perplexity;
    if (step.name == "orders" && perplexity > 0) {
      const double off = std::fabs(outcome.perplexity / perplexity - 1);
      std::printf("layer-major and batch-major perplexity differ by %.1e\n",
                  off);
      good = good && off <= kPerplexityTolerance;
    }
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace quantd::test

int main(int argc, char** argv) {
  quantd::test::Flags flags;
  if (!quantd::test::ParseFlags(argc, argv, &flags)) {
    std::fprintf(stderr,
                 "usage: large_check [--dir DIR] [--steps A,B] [--threads N] "
                 "[--blocks N]\n");
    return 2;
  }
  if (!flags.directory.empty()) {
    return quantd::test::Check(flags, flags.directory);
  }
  std::string directory =
      (std::filesystem::temp_directory_path() / "quantd_large.XXXXXX").string();
  if (::mkdtemp(directory.data()) == nullptr) {
    std::perror(directory.c_str());
    return 1;
  }
  const int code = quantd::test::Check(flags, directory);
  std::filesystem::remove_all(directory);
  return code;
}
