// tokenizer_check FOLDER [TEXT]: encodes the golden texts of every tokenizer
// under FOLDER and compares; with a TEXT file, also measures encoding it.
//
//   FOLDER/<name>/tokenizer.json or tokenizer.model, tokenizer_config.json
//   FOLDER/<name>/golden.jsonl: one object a line,
//     {"text": "a b", "ids": [5, 6], "ids_special": [1, 5, 6]}
//   where "ids_special", with special tokens, may be absent; so may "decoded",
//   the text that "ids" decode to.
//
// Prints a line a tokenizer, "<name> <entries> entries <mismatches>
// mismatches", with TEXT also "<speed> MB/s" (10^6 bytes per second of
// processor time, the best of five), and the first mismatches to standard
// error. Exits with 0 if all agree, 1 if one does not or cannot be read, 2
// without a usable FOLDER.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "models/json_text.h"
#include "models/tokenizer.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

constexpr int kShownMismatches = 3;

struct Counts {
  int entries = 0;
  int mismatches = 0;
};

absl::StatusOr<std::vector<int32_t>> ReadIds(const JsonReader& entry,
                                             absl::string_view key) {
  ASSIGN_OR_RETURN(const nlohmann::json* array, entry.GetArray(key));
  std::vector<int32_t> ids;
  for (const nlohmann::json& id : *array) {
    if (!id.is_number_integer()) return entry.Fault(key, "expected ids");
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

bool Agrees(const JsonReader& entry, absl::string_view key,
            const std::string& name, const std::vector<int32_t>& expected,
            const absl::StatusOr<std::vector<int32_t>>& got, int shown) {
  if (got.ok() && *got == expected) return true;
  if (shown >= kShownMismatches) return false;
  std::fprintf(stderr, "%s: %s\n  %s expected %s\n  %s got      %s\n",
               name.c_str(), entry.value()["text"].dump().c_str(),
               std::string(key).c_str(), absl::StrJoin(expected, " ").c_str(),
               std::string(key).c_str(),
               got.ok() ? absl::StrJoin(*got, " ").c_str()
                        : got.status().ToString().c_str());
  return false;
}

bool Decodes(const JsonReader& entry, const std::string& name,
             const std::string& expected,
             const absl::StatusOr<std::string>& got, int shown) {
  if (got.ok() && *got == expected) return true;
  if (shown >= kShownMismatches) return false;
  std::fprintf(stderr, "%s: %s\n  decoded expected %s\n  decoded got      %s\n",
               name.c_str(), entry.value()["text"].dump().c_str(),
               nlohmann::json(expected).dump().c_str(),
               got.ok() ? nlohmann::json(*got).dump().c_str()
                        : got.status().ToString().c_str());
  return false;
}

absl::StatusOr<Counts> Check(const Tokenizer& tokenizer,
                             const std::string& directory,
                             const std::string& name) {
  ASSIGN_OR_RETURN(const std::string golden,
                   ReadFile(directory + "/golden.jsonl"));
  Counts counts;
  for (const absl::string_view line : absl::StrSplit(golden, '\n')) {
    if (line.empty()) continue;
    ASSIGN_OR_RETURN(const nlohmann::json root,
                     ParseJson(line, "golden.jsonl"));
    ASSIGN_OR_RETURN(const JsonReader entry,
                     JsonReader::Of(root, "golden.jsonl"));
    ASSIGN_OR_RETURN(const std::string text, entry.GetString("text"));
    ASSIGN_OR_RETURN(const std::vector<int32_t> ids, ReadIds(entry, "ids"));
    ++counts.entries;
    bool agrees = Agrees(entry, "ids", name, ids, tokenizer.Encode(text),
                         counts.mismatches);
    if (agrees && entry.Has("ids_special")) {
      ASSIGN_OR_RETURN(const std::vector<int32_t> special,
                       ReadIds(entry, "ids_special"));
      agrees =
          Agrees(entry, "ids_special", name, special,
                 tokenizer.EncodeWithSpecialTokens(text), counts.mismatches);
    }
    if (agrees && entry.Has("decoded")) {
      ASSIGN_OR_RETURN(const std::string decoded, entry.GetString("decoded"));
      agrees = Decodes(entry, name, decoded, tokenizer.Decode(ids),
                       counts.mismatches);
    }
    if (!agrees) ++counts.mismatches;
  }
  return counts;
}

// In 10^6 bytes per second of processor time, which other work on the machine
// does not take part in. Encoding runs on the calling thread alone.
absl::StatusOr<double> Speed(const Tokenizer& tokenizer,
                             const std::string& text) {
  constexpr int kRounds = 5;
  std::clock_t best = std::numeric_limits<std::clock_t>::max();
  for (int round = 0; round < kRounds; ++round) {
    const std::clock_t start = std::clock();
    RETURN_IF_ERROR(tokenizer.Encode(text).status());
    best = std::min(best, std::max<std::clock_t>(std::clock() - start, 1));
  }
  return static_cast<double>(text.size()) / 1e6 * CLOCKS_PER_SEC /
         static_cast<double>(best);
}

// Prints the line of one tokenizer; whether all of it agrees.
absl::StatusOr<bool> CheckAndPrint(const std::string& folder,
                                   const std::string& name,
                                   const std::string& text) {
  const std::string directory = folder + "/" + name;
  ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                   LoadTokenizer(directory));
  ASSIGN_OR_RETURN(const Counts counts, Check(*tokenizer, directory, name));
  std::string speed;
  if (!text.empty()) {
    ASSIGN_OR_RETURN(const double rate, Speed(*tokenizer, text));
    speed = absl::StrFormat(" %.1f MB/s", rate);
  }
  std::printf("%s %d entries %d mismatches%s\n", name.c_str(), counts.entries,
              counts.mismatches, speed.c_str());
  return counts.mismatches == 0 && counts.entries > 0;
}

int Run(const std::string& folder, const std::string& text) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (std::filesystem::exists(entry.path() / "golden.jsonl")) {
      names.push_back(entry.path().filename());
    }
  }
  if (error || names.empty()) {
    std::fprintf(stderr, "%s: no tokenizers with a golden.jsonl\n",
                 folder.c_str());
    return 2;
  }
  std::sort(names.begin(), names.end());
  bool all_agree = true;
  for (const std::string& name : names) {
    const absl::StatusOr<bool> agrees = CheckAndPrint(folder, name, text);
    if (!agrees.ok()) {
      std::printf("%s failed: %s\n", name.c_str(),
                  agrees.status().ToString().c_str());
    }
    all_agree = all_agree && agrees.value_or(false);
  }
  return all_agree ? 0 : 1;
}

}  // namespace
}  // namespace quantd

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fprintf(stderr, "usage: tokenizer_check FOLDER [TEXT]\n");
    return 2;
  }
  std::string text;
  if (argc == 3) {
    auto read = quantd::ReadFile(argv[2]);
    if (!read.ok()) {
      std::fprintf(stderr, "%s\n", read.status().ToString().c_str());
      return 2;
    }
    text = *std::move(read);
  }
  return quantd::Run(argv[1], text);
}
