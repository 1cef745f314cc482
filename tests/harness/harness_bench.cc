// harness_bench [FLAGS]: the likelihood suite, BLiMP, four perplexities and the
// divergence of one model and of two compressions of it, through the real
// server, worker and client, into docs/evaluation.md.
//
//   --work DIR       server data; kept, with all scores: a later call goes on
//                    where this one stopped (build/bench-evaluation)
//   --max-items N    items of each task, the first ones (0: all)
//   --max-windows N  windows of each text (0: all)
//   --output FILE    the page (docs/evaluation.md)
//   --model DIR --text FILE --data DIR
//                    by default the trained model of 7 million parameters, the
//                    text and the benchmarks in ../shared, beside the checkout
//
// Exit code 0 when everything ran and the verdicts are those that must come
// out: 8 bits worse in nothing and equivalent by both conventions of
// perplexity without documents, 2 bits worse by them. 3 when they are not,
// 1 when a run failed, 2 on wrong usage. The page is written for 0 and 3.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/version.h"
#include "nlohmann/json.hpp"
#include "tests/harness/harness_page.h"
#include "tests/integration/process.h"
#include "tests/testing/machine_name.h"
#include "tests/testing/project_paths.h"

namespace quantd::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kVerdictDiffers = 3;

struct Flags {
  std::string work;
  std::string max_items = "0";
  std::string max_windows = "0";
  std::string output;
  std::string model;
  std::string text;
  std::string data;
};

absl::StatusOr<Flags> ParseFlags(int argc, char** argv) {
  Flags flags;
  flags.work = ProjectPath("build/bench-evaluation");
  flags.output = ProjectPath("docs/evaluation.md");
  flags.model = SharedPath("models/tiny-llama-7m");
  flags.text = SharedPath("data/wikitext2_raw/wiki.test.raw");
  flags.data = SharedPath("data");
  const std::pair<const char*, std::string*> known[] = {
      {"--work", &flags.work},
      {"--max-items", &flags.max_items},
      {"--max-windows", &flags.max_windows},
      {"--output", &flags.output},
      {"--model", &flags.model},
      {"--text", &flags.text},
      {"--data", &flags.data}};
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 == argc) {
      return absl::InvalidArgumentError(flag + " needs a value");
    }
    std::string* target = nullptr;
    for (const auto& [name, value] : known) {
      if (flag == name) target = value;
    }
    if (target == nullptr) {
      return absl::InvalidArgumentError("no flag " + flag);
    }
    *target = argv[i + 1];
  }
  return flags;
}

// A compression of the model.
struct Compression {
  const char* name;
  const char* about;
  std::vector<std::string> settings;
};

const Compression kCompressions[] = {
    {"8 bits",
     "rtn, signed 8-bit codes in groups of 32 with binary16 scales: blocks of "
     "ggml's Q8_0",
     {"bits=8", "group_size=32", "symmetric=true", "signed_range=true"}},
    {"2 bits", "rtn, 2-bit codes in groups of 64", {"bits=2", "group_size=64"}},
};

absl::StatusOr<Json> Evaluate(const Flags& flags, const std::string& server,
                              const std::string& target, bool compressed) {
  std::vector<std::string> args = {"evaluate", target,
                                   "--metric", "ppl/llamacpp-512",
                                   "--metric", "ppl/gptq-512",
                                   "--metric", "ppl/lmeval-rolling",
                                   "--metric", "ppl/hf-stride-256"};
  if (compressed) {
    args.insert(args.end(), {"--metric", "divergence/llamacpp-512"});
  }
  args.insert(args.end(), {"--text", flags.text, "--suite", "likelihood",
                           "--data", flags.data, "--wait"});
  if (flags.max_items != "0") {
    args.insert(args.end(), {"--max-items", flags.max_items});
  }
  if (flags.max_windows != "0") {
    args.insert(args.end(), {"--max-windows", flags.max_windows});
  }
  return RunQuantctlForJson(server, args);
}

// The verdict on the first row whose task begins so.
std::string VerdictOn(const Json& comparison, const std::string& task) {
  for (const Json& row : comparison.value("metrics", Json::array())) {
    if (absl::StartsWith(row.value("task", ""), task)) {
      return row.value("verdict", "");
    }
  }
  return "";
}

bool VerdictsHold(const std::vector<HarnessModel>& models) {
  bool holds = true;
  const auto expect = [&](const HarnessModel& model, const std::string& task,
                          const std::string& verdict) {
    const std::string got = VerdictOn(model.comparison, task);
    if (got == verdict) return;
    holds = false;
    std::printf("%s is %s by %s, expected %s\n", model.name.c_str(),
                got.c_str(), task.c_str(), verdict.c_str());
  };
  for (const std::string task : {"ppl/llamacpp-512", "ppl/gptq-512"}) {
    expect(models[1], task, "EQUIVALENT");
    expect(models[2], task, "WORSE");
  }
  for (const Json& row : models[1].comparison.value("metrics", Json::array())) {
    if (row.value("in_family", false) && row.value("verdict", "") == "WORSE") {
      holds = false;
      std::printf("%s is worse by %s\n", models[1].name.c_str(),
                  row.value("task", "").c_str());
    }
  }
  return holds;
}

absl::StatusOr<int> Run(const Flags& flags) {
  for (const std::string& path : {flags.model, flags.text, flags.data}) {
    if (!fs::exists(path)) {
      return absl::NotFoundError(absl::StrCat(
          path, " is absent; name others with --model, --text, --data"));
    }
  }
  RETURN_IF_ERROR(CreateDirectories(flags.work));
  ASSIGN_OR_RETURN(const auto server,
                   ServerProcess::Start(flags.work + "/data"));
  RunQuantctl(server->address(), {"models", "add", "original", flags.model});
  std::vector<HarnessModel> models(1);
  models[0].name = "original";
  models[0].about = "as it was trained";
  for (const Compression& compression : kCompressions) {
    HarnessModel model;
    model.name = compression.name;
    model.about = compression.about;
    models.push_back(std::move(model));
  }
  for (size_t i = 0; i < models.size(); ++i) {
    const std::string target = i == 0 ? "original" : absl::StrCat("rtn-", i);
    if (i > 0 && RunQuantctl(server->address(), {"artifacts", "show", target})
                         .exit_code != 0) {
      std::vector<std::string> args = {"quantize", "original", "--method",
                                       "rtn",      "--name",   target};
      for (const std::string& setting : kCompressions[i - 1].settings) {
        args.insert(args.end(), {"--set", setting});
      }
      args.push_back("--wait");
      RETURN_IF_ERROR(RunQuantctlForJson(server->address(), args).status());
    }
    ASSIGN_OR_RETURN(models[i].evaluation,
                     Evaluate(flags, server->address(), target, i > 0));
    std::printf("%s: %.0f s\n", models[i].name.c_str(),
                models[i].evaluation.value("wall_seconds", 0.0));
    std::fflush(stdout);
    if (i == 0) continue;
    ASSIGN_OR_RETURN(
        models[i].comparison,
        RunQuantctlForJson(server->address(), {"compare", "original", target}));
  }
  HarnessContext context;
  context.version = std::string(Version());
  context.machine = MachineName();
  context.model = fs::path(flags.model).filename();
  context.text = fs::path(flags.text).filename();
  RETURN_IF_ERROR(CreateDirectories(fs::path(flags.output).parent_path()));
  RETURN_IF_ERROR(WriteFileDurably(flags.output, HarnessPage(context, models)));
  return VerdictsHold(models) ? 0 : kVerdictDiffers;
}

}  // namespace
}  // namespace quantd::test

int main(int argc, char** argv) {
  const auto flags = quantd::test::ParseFlags(argc, argv);
  if (!flags.ok()) {
    std::fprintf(stderr, "harness_bench: %s\n",
                 std::string(flags.status().message()).c_str());
    return 2;
  }
  const absl::StatusOr<int> code = quantd::test::Run(*flags);
  if (!code.ok()) {
    std::fprintf(stderr, "harness_bench: %s\n",
                 std::string(code.status().message()).c_str());
    return 1;
  }
  return *code;
}
