// Runs every fuzz target over its corpus and over deterministic mutations of
// it, so that the same code is exercised under the sanitizers of each build
// without libFuzzer.
#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"

// Each is the LLVMFuzzerTestOneInput of <name>_fuzzer.cc, renamed by the
// build.
extern "C" {
int Fuzz_config(const uint8_t* data, size_t size);
int Fuzz_layout(const uint8_t* data, size_t size);
int Fuzz_recipe(const uint8_t* data, size_t size);
int Fuzz_safetensors(const uint8_t* data, size_t size);
int Fuzz_sentence_piece(const uint8_t* data, size_t size);
int Fuzz_task_file(const uint8_t* data, size_t size);
int Fuzz_task_records(const uint8_t* data, size_t size);
int Fuzz_tokenizer(const uint8_t* data, size_t size);
}

namespace quantd::test {
namespace {

struct Target {
  const char* name;
  int (*run)(const uint8_t* data, size_t size);
};

constexpr Target kTargets[] = {
    {"config", Fuzz_config},
    {"layout", Fuzz_layout},
    {"recipe", Fuzz_recipe},
    {"safetensors", Fuzz_safetensors},
    {"sentence_piece", Fuzz_sentence_piece},
    {"task_file", Fuzz_task_file},
    {"task_records", Fuzz_task_records},
    {"tokenizer", Fuzz_tokenizer},
};

constexpr int kMutationsPerTarget = 4000;

std::string CorpusDirectory() { return ProjectPath("tests/fuzz/corpus"); }

// In name order, so that a failure is found again by its number.
std::vector<std::string> ReadCorpus(const std::string& target) {
  std::vector<std::string> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(CorpusDirectory() + "/" + target)) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> inputs;
  for (const std::string& path : paths) {
    const auto content = ReadFile(path);
    EXPECT_THAT(content, IsOk());
    inputs.push_back(content.value_or(""));
  }
  return inputs;
}

// Pieces that break parsers more often than random bytes do.
constexpr absl::string_view kTokens[] = {
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "-1",
    "0",
    "1e999",
    "null",
    "true",
    "9223372036854775807",
    "18446744073709551616",
    "\xFF",
    "\xC3",
    "\\u0000",
    "\\ud800",
    "(",
    ")",
    "*",
    "\\",
    "[^",
    "{65535}",
    "\n",
};

std::string Mutate(std::string input, const std::vector<std::string>& corpus,
                   std::mt19937& random) {
  const auto below = [&](size_t limit) {
    return limit == 0 ? size_t{0} : random() % limit;
  };
  const size_t edits = 1 + below(4);
  for (size_t i = 0; i < edits; ++i) {
    const size_t at = below(input.size() + 1);
    switch (below(6)) {
      case 0:
        if (at < input.size()) input[at] ^= static_cast<char>(1 << below(8));
        break;
      case 1:
        if (at < input.size()) input[at] = static_cast<char>(below(256));
        break;
      case 2:
        input.erase(at, 1 + below(8));
        break;
      case 3: {
        const absl::string_view token = kTokens[below(std::size(kTokens))];
        input.insert(at, token.data(), token.size());
        break;
      }
      case 4:
        input.insert(at, input.substr(below(input.size() + 1), below(32)));
        break;
      case 5: {
        const std::string& other = corpus[below(corpus.size())];
        input = input.substr(0, at) + other.substr(below(other.size() + 1));
        break;
      }
    }
  }
  return input;
}

class FuzzReplayTest : public ::testing::TestWithParam<Target> {
 protected:
  // In a block of its own size, so that the address sanitizer sees a read
  // past the end.
  static void Run(const std::string& input) {
    const std::vector<uint8_t> bytes(input.begin(), input.end());
    EXPECT_EQ(GetParam().run(bytes.data(), bytes.size()), 0);
  }
};

TEST_P(FuzzReplayTest, CorpusKeepsEveryPromise) {
  const std::vector<std::string> corpus = ReadCorpus(GetParam().name);
  ASSERT_FALSE(corpus.empty());
  for (const std::string& input : corpus) Run(input);
  Run("");
}

TEST_P(FuzzReplayTest, MutationsKeepEveryPromise) {
  const std::vector<std::string> corpus = ReadCorpus(GetParam().name);
  ASSERT_FALSE(corpus.empty());
  std::mt19937 random(2024);
  for (int i = 0; i < kMutationsPerTarget; ++i) {
    Run(Mutate(corpus[random() % corpus.size()], corpus, random));
  }
}

INSTANTIATE_TEST_SUITE_P(AllTargets, FuzzReplayTest,
                         ::testing::ValuesIn(kTargets), [](const auto& info) {
                           return std::string(info.param.name);
                         });

TEST(FuzzCorpusTest, EveryCorpusFolderHasItsTarget) {
  for (const auto& entry :
       std::filesystem::directory_iterator(CorpusDirectory())) {
    const std::string name = entry.path().filename();
    EXPECT_TRUE(
        std::any_of(std::begin(kTargets), std::end(kTargets),
                    [&](const Target& target) { return target.name == name; }))
        << name;
  }
}

}  // namespace
}  // namespace quantd::test
