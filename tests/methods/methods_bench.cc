// methods_bench [FLAGS]: runs every row of methods.txt through the real server,
// worker and client, and writes docs/methods.md.
//
//   --work DIR     server data; kept (build/bench-methods)
//   --record FILE  what was measured (docs/methods.json): a later call goes on
//                  where this one stopped. After a change of a method take its
//                  rows out: they are not tied to the build they came from
//   --windows N    evaluation windows of 512 tokens, the first of the text
//   (64)
//   --only A,B     only these rows and those measured before
//   --output FILE  the page (docs/methods.md)
//   --model DIR --text FILE --calibration FILE
//                  by default the trained model of 7 million parameters and
//                  the texts in ../shared, beside the checkout
//
// Exit code 0 when everything ran and every claim holds, 3 when a claim does
// not, 1 when a row failed, 2 on wrong usage. The page is written in any case.
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "nlohmann/json.hpp"
#include "tests/integration/process.h"
#include "tests/methods/method_gates.h"
#include "tests/methods/method_record.h"
#include "tests/methods/method_rows.h"
#include "tests/methods/method_table.h"
#include "tests/testing/machine_name.h"
#include "tests/testing/project_paths.h"

namespace quantd::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kClaimFails = 3;
constexpr int kCalibrationWindows = 128;
constexpr int kWindowTokens = 512;

struct Flags {
  std::string work;
  std::string record;
  std::string windows = "64";
  std::set<std::string> only;
  std::string output;
  std::string model;
  std::string text;
  std::string calibration;
};

absl::StatusOr<Flags> ParseFlags(int argc, char** argv) {
  Flags flags;
  flags.work = ProjectPath("build/bench-methods");
  flags.record = ProjectPath("docs/methods.json");
  flags.output = ProjectPath("docs/methods.md");
  flags.model = SharedPath("models/tiny-llama-7m");
  flags.text = SharedPath("data/wikitext2_raw/wiki.test.raw");
  flags.calibration = SharedPath("data/calibration/mixed.txt");
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 == argc) {
      return absl::InvalidArgumentError(flag + " needs a value");
    }
    const std::string value = argv[i + 1];
    if (flag == "--work") {
      flags.work = value;
    } else if (flag == "--record") {
      flags.record = value;
    } else if (flag == "--windows") {
      flags.windows = value;
    } else if (flag == "--only") {
      flags.only = absl::StrSplit(value, ',', absl::SkipEmpty());
    } else if (flag == "--output") {
      flags.output = value;
    } else if (flag == "--model") {
      flags.model = value;
    } else if (flag == "--text") {
      flags.text = value;
    } else if (flag == "--calibration") {
      flags.calibration = value;
    } else {
      return absl::InvalidArgumentError("no flag " + flag);
    }
  }
  return flags;
}

double Number(const Json& json, const char* key, double absent) {
  const auto it = json.find(key);
  return it != json.end() && it->is_number() ? it->get<double>() : absent;
}

// "gptq" out of {"gptq": {"grid": {"affine": {...}}}}, and its grid's kind.
void ReadStages(const Json& recipe, MethodResult* result) {
  for (const Json& stage : recipe.value("stages", Json::array())) {
    for (const auto& [kind, options] : stage.items()) {
      result->stages.push_back(kind);
      const auto grid = options.find("grid");
      if (grid == options.end()) continue;
      for (const auto& [name, kind] : grid->items()) {
        // A stage that knows one kind of grid only lists that grid's fields.
        if (kind.is_object()) result->grids.push_back(name);
      }
    }
  }
}

// Files go by their names: a checkout elsewhere measures the same.
std::string SetupOf(const Flags& flags) {
  const auto name = [](const std::string& path) {
    return fs::path(path).filename().string();
  };
  return absl::StrCat(Version(), "\n", flags.windows, "\n", name(flags.model),
                      "\n", name(flags.text), "\n", name(flags.calibration));
}

class Bench {
 public:
  Bench(Flags flags, std::string server, MethodRecord record)
      : flags_(std::move(flags)),
        server_(std::move(server)),
        record_(std::move(record)) {}

  // The result of a row: of this call or of an earlier one.
  absl::StatusOr<MethodResult> Measure(const MethodRow& row) {
    if (const auto kept = record_.Find(row)) return *kept;
    ASSIGN_OR_RETURN(
        const Json recipe,
        RunQuantctlForJson(server_, {"methods", "show", row.method}));
    MethodResult result;
    result.calibrated = recipe.value("needs_calibration", false);
    ReadStages(recipe, &result);
    const std::string name =
        absl::StrCat("m-", record_.KeyOf(row).substr(0, 20));
    // One that an interrupted call left is finished already.
    if (RunQuantctl(server_, {"artifacts", "show", name}).exit_code != 0) {
      RETURN_IF_ERROR(Compress(row, result.calibrated, name));
    }
    RETURN_IF_ERROR(ReadCompression(name, &result));
    RETURN_IF_ERROR(Score(name, &result));
    RETURN_IF_ERROR(record_.Put(row, result));
    // Its numbers are kept; its bytes are not needed any more.
    RunQuantctl(server_, {"artifacts", "delete", name});
    return result;
  }

  const MethodRecord& record() const { return record_; }

 private:
  absl::Status Compress(const MethodRow& row, bool calibrated,
                        const std::string& name) {
    std::vector<std::string> command = {"quantize", "m7",     "--method",
                                        row.method, "--name", name};
    for (const std::string& setting : row.settings) {
      command.insert(command.end(), {"--set", setting});
    }
    if (calibrated) {
      command.insert(command.end(),
                     {"--calibration", flags_.calibration, "--windows",
                      absl::StrCat(kCalibrationWindows), "--window-tokens",
                      absl::StrCat(kWindowTokens)});
    }
    command.push_back("--wait");
    return RunQuantctlForJson(server_, command).status();
  }

  absl::Status ReadCompression(const std::string& name, MethodResult* result) {
    ASSIGN_OR_RETURN(const Json artifact,
                     RunQuantctlForJson(server_, {"artifacts", "show", name}));
    ASSIGN_OR_RETURN(const Json job,
                     RunQuantctlForJson(
                         server_, {"jobs", "show", artifact.value("job", "")}));
    const Json outcome = job.value("result", Json::object());
    const Json metrics = outcome.value("metrics", Json::object());
    result->stored_bits = Number(metrics, "bits_per_weight", 0);
    result->output_error = Number(metrics, "mean_output_error", -1);
    result->weight_error = Number(metrics, "mean_weight_error", -1);
    if (metrics.contains("tuned_blocks")) {
      result->unimproved_blocks = Number(metrics, "tuned_blocks", 0) -
                                  Number(metrics, "improved_blocks", 0);
    }
    result->seconds = Number(outcome, "wall_seconds", 0);
    result->peak_bytes = Number(metrics, "peak_anonymous_memory_bytes", 0);
    return absl::OkStatus();
  }

  absl::Status Score(const std::string& name, MethodResult* result) {
    const std::string metric = absl::StrCat("divergence/gptq-", kWindowTokens);
    ASSIGN_OR_RETURN(
        const Json evaluation,
        RunQuantctlForJson(
            server_, {"evaluate", name, "--metric", metric, "--text",
                      flags_.text, "--max-windows", flags_.windows, "--wait"}));
    const Json divergence = evaluation.value("divergence", Json::object());
    const Json candidate =
        divergence.value("candidate_perplexity", Json::object());
    const Json original =
        divergence.value("baseline_perplexity", Json::object());
    const Json kl = divergence.value("kl", Json::object());
    if (!candidate.contains("perplexity") || !kl.contains("mean")) {
      return absl::InternalError("no divergence in " + evaluation.dump());
    }
    result->perplexity = Number(candidate, "perplexity", 0);
    result->perplexity_error =
        Number(candidate, "perplexity_error_clustered", 0);
    result->kl = Number(kl, "mean", 0);
    result->kl_error = Number(kl, "error_clustered", 0);
    result->log_ratio =
        Number(divergence.value("log_ratio", Json::object()), "mean", 0);
    result->top1_agreement =
        Number(divergence.value("top1_agreement", Json::object()), "mean", 0);
    MethodContext context;
    context.original_perplexity = Number(original, "perplexity", 0);
    context.original_error = Number(original, "perplexity_error_clustered", 0);
    context.windows = static_cast<uint64_t>(Number(divergence, "windows", 0));
    context.scored_tokens =
        static_cast<uint64_t>(Number(divergence, "scored_tokens", 0));
    context.metric = divergence.value("metric", "");
    return record_.PutOriginal(context);
  }

  const Flags flags_;
  const std::string server_;
  MethodRecord record_;
};

absl::StatusOr<int> Run(const Flags& flags) {
  for (const std::string& path : {flags.model, flags.text, flags.calibration}) {
    if (!fs::exists(path)) {
      return absl::NotFoundError(absl::StrCat(
          path, " is absent; name others with --model, --text, --calibration"));
    }
  }
  ASSIGN_OR_RETURN(const std::string rows_text,
                   ReadFile(ProjectPath("tests/methods/methods.txt")));
  ASSIGN_OR_RETURN(const MethodComparison comparison,
                   ParseMethodComparison(rows_text));
  RETURN_IF_ERROR(CreateDirectories(flags.work));
  ASSIGN_OR_RETURN(const auto server,
                   ServerProcess::Start(flags.work + "/data"));
  RunQuantctl(server->address(), {"models", "add", "m7", flags.model});
  ASSIGN_OR_RETURN(MethodRecord record,
                   MethodRecord::Open(flags.record, SetupOf(flags)));
  Bench bench(flags, server->address(), std::move(record));
  MethodResults results;
  bool failed = false;
  for (const MethodRow& row : comparison.rows) {
    const bool wanted = flags.only.empty() || flags.only.count(row.id) > 0;
    if (!wanted && !bench.record().Find(row).has_value()) continue;
    const absl::StatusOr<MethodResult> result = bench.Measure(row);
    if (!result.ok()) {
      failed = true;
      std::printf("%-24s FAILED: %s\n", row.id.c_str(),
                  std::string(result.status().message()).c_str());
    } else {
      results[row.id] = *result;
      std::printf("%-24s %6.3f bits  ppl %9.3f  kl %.5f +- %.5f  %5.0f s\n",
                  row.id.c_str(), result->stored_bits, result->perplexity,
                  result->kl, result->kl_error, result->seconds);
    }
    std::fflush(stdout);
  }
  MethodContext context;
  RETURN_IF_ERROR(bench.record().FillOriginal(&context));
  context.version = std::string(Version());
  context.model = fs::path(flags.model).filename();
  context.calibration = absl::StrCat(
      kCalibrationWindows, " windows of ", kWindowTokens, " tokens of ",
      fs::path(flags.calibration).filename().string(), ", seed 0");
  context.machine = MachineName();
  const std::vector<GateVerdict> gates = JudgeGates(comparison, results);
  bool holds = true;
  for (const GateVerdict& gate : gates) {
    if (!gate.holds) {
      std::printf("does not hold: %s (%s)\n", gate.name.c_str(),
                  gate.numbers.c_str());
    }
    holds = holds && gate.holds;
  }
  RETURN_IF_ERROR(CreateDirectories(fs::path(flags.output).parent_path()));
  RETURN_IF_ERROR(WriteFileDurably(
      flags.output, MethodPage(context, comparison, results, gates)));
  if (failed) return 1;
  return holds ? 0 : kClaimFails;
}

}  // namespace
}  // namespace quantd::test

int main(int argc, char** argv) {
  const auto flags = quantd::test::ParseFlags(argc, argv);
  if (!flags.ok()) {
    std::fprintf(stderr, "methods_bench: %s\n",
                 std::string(flags.status().message()).c_str());
    return 2;
  }
  const absl::StatusOr<int> code = quantd::test::Run(*flags);
  if (!code.ok()) {
    std::fprintf(stderr, "methods_bench: %s\n",
                 std::string(code.status().message()).c_str());
    return 1;
  }
  return *code;
}
