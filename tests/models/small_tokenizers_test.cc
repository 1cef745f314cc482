// The small tokenizers of tests/golden/tokenizers, one of each kind: encoding,
// special tokens and decoding must be those of the reference libraries.
#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "models/tokenizer.h"
#include "nlohmann/json.hpp"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using nlohmann::json;

std::string Folder() { return ProjectPath("tests/golden/tokenizers"); }

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(Folder())) {
    if (entry.is_directory()) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class SmallTokenizerTest : public ::testing::TestWithParam<std::string> {};

TEST_P(SmallTokenizerTest, AgreesWithItsReference) {
  const std::string directory = Folder() + "/" + GetParam();
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadTokenizer(directory));
  ASSERT_OK_AND_ASSIGN(const std::string golden,
                       ReadFile(directory + "/golden.jsonl"));
  std::istringstream lines(golden);
  std::string line;
  int entries = 0;
  while (std::getline(lines, line)) {
    const json entry = json::parse(line);
    const auto text = entry["text"].get<std::string>();
    const auto expected = entry["ids"].get<std::vector<int32_t>>();
    ASSERT_OK_AND_ASSIGN(const std::vector<int32_t> ids,
                         tokenizer->Encode(text));
    EXPECT_EQ(ids, expected) << text;
    if (entry.contains("ids_special")) {
      ASSERT_OK_AND_ASSIGN(const std::vector<int32_t> special,
                           tokenizer->EncodeWithSpecialTokens(text));
      EXPECT_EQ(special, entry["ids_special"].get<std::vector<int32_t>>())
          << text;
    }
    ASSERT_OK_AND_ASSIGN(const std::string decoded,
                         tokenizer->Decode(expected));
    EXPECT_EQ(decoded, entry["decoded"].get<std::string>());
    ++entries;
  }
  EXPECT_GE(entries, 100);
}

INSTANTIATE_TEST_SUITE_P(All, SmallTokenizerTest, ::testing::ValuesIn(Names()),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace quantd::test
