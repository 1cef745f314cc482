// Tokenizers as published, against encodings made by another implementation.
// No golden entry contradicts its tokenizer.json: all 3 x 244 must agree.
#include <filesystem>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/sha256.h"
#include "models/tokenizer.h"
#include "nlohmann/json.hpp"
#include "tests/testing/project_paths.h"
#include "tests/testing/status_matchers.h"

namespace quantd::test {
namespace {

using nlohmann::json;

struct Published {
  std::string name;
  // Texts that decoding does not give back.
  int changed;
};

void PrintTo(const Published& published, std::ostream* out) {
  *out << published.name;
}

constexpr int kLossless = 0;
// One of the hand-picked strings holds a decomposed letter, which NFC composes.
constexpr int kComposes = 1;
// One of them holds "<s>" and "</s>". The normalizer puts a space before each
// part between them, the decoder takes only the first away.
constexpr int kPrependsToParts = 1;

class GoldenTokenizerTest : public ::testing::TestWithParam<Published> {};

TEST_P(GoldenTokenizerTest, EncodesAsTheReferenceAndDecodesBack) {
  const std::string directory = SharedPath("tokenizers/" + GetParam().name);
  if (!std::filesystem::exists(directory)) GTEST_SKIP() << "no " << directory;
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadTokenizer(directory));
  ASSERT_OK_AND_ASSIGN(const std::string golden,
                       ReadFile(directory + "/golden.jsonl"));
  std::istringstream lines(golden);
  std::string line;
  int entries = 0;
  int changed = 0;
  while (std::getline(lines, line)) {
    const json entry = json::parse(line);
    const auto text = entry["text"].get<std::string>();
    ++entries;
    ASSERT_OK_AND_ASSIGN(const std::vector<int32_t> ids,
                         tokenizer->Encode(text));
    EXPECT_EQ(ids, entry["ids"].get<std::vector<int32_t>>()) << text;
    ASSERT_OK_AND_ASSIGN(const std::vector<int32_t> special,
                         tokenizer->EncodeWithSpecialTokens(text));
    EXPECT_EQ(special, entry["ids_special"].get<std::vector<int32_t>>())
        << text;
    ASSERT_OK_AND_ASSIGN(const std::string back, tokenizer->Decode(ids));
    if (back != text) {
      ++changed;
      continue;
    }
    ASSERT_OK_AND_ASSIGN(const std::vector<int32_t> again,
                         tokenizer->Encode(back));
    EXPECT_EQ(again, ids);
  }
  EXPECT_EQ(entries, 244);
  EXPECT_EQ(changed, GetParam().changed);
}

INSTANTIATE_TEST_SUITE_P(All, GoldenTokenizerTest,
                         ::testing::Values(Published{"llama3-bpe", kLossless},
                                           Published{"mistral-spm-bpe",
                                                     kPrependsToParts},
                                           Published{"qwen3-bpe", kComposes}),
                         [](const auto& info) {
                           return info.param.name.substr(
                               0, info.param.name.find('-'));
                         });

TEST(PublishedTokenizerTest, PublishedMarkersAreRead) {
  const std::string llama = SharedPath("tokenizers/llama3-bpe");
  if (!std::filesystem::exists(llama)) GTEST_SKIP() << "no " << llama;
  ASSERT_OK_AND_ASSIGN(const auto llama3, LoadTokenizer(llama));
  EXPECT_EQ(llama3->bos_id(), 128000);
  EXPECT_EQ(llama3->vocabulary_size(), 128256);
  EXPECT_FALSE(llama3->adds_bos());
  ASSERT_OK_AND_ASSIGN(const auto qwen3,
                       LoadTokenizer(SharedPath("tokenizers/qwen3-bpe")));
  EXPECT_EQ(qwen3->bos_id(), std::nullopt);
  EXPECT_EQ(qwen3->eos_id(), 151645);
  ASSERT_OK_AND_ASSIGN(const auto mistral,
                       LoadTokenizer(SharedPath("tokenizers/mistral-spm-bpe")));
  EXPECT_EQ(mistral->bos_id(), 1);
  EXPECT_TRUE(mistral->adds_bos());
}

// WikiText rows, one a line; a blank line is an empty row, any other keeps its
// newline; rows are joined by two newlines.
std::string JoinRows(const std::string& raw) {
  std::string joined;
  for (size_t pos = 0; pos < raw.size();) {
    size_t end = raw.find('\n', pos);
    end = end == std::string::npos ? raw.size() : end + 1;
    if (pos > 0) joined += "\n\n";
    const std::string row = raw.substr(pos, end - pos);
    if (row != " \n") joined += row;
    pos = end;
  }
  return joined;
}

TEST(WikiTextTest, TokenCountsAreTheKnownOnes) {
  const std::string model = SharedPath("models/tiny-llama-7m");
  if (!std::filesystem::exists(model)) GTEST_SKIP() << "no " << model;
  ASSERT_OK_AND_ASSIGN(const auto tokenizer, LoadTokenizer(model));
  ASSERT_OK_AND_ASSIGN(
      const std::string raw,
      ReadFile(SharedPath("data/wikitext2_raw/wiki.test.raw")));
  ASSERT_OK_AND_ASSIGN(const std::vector<int32_t> raw_ids,
                       tokenizer->Encode(raw));
  EXPECT_EQ(raw_ids.size(), 388798u);
  EXPECT_EQ(tokenizer->Decode(raw_ids).value(), raw);

  const std::string joined = JoinRows(raw);
  ASSERT_EQ(Sha256Hex(joined),
            "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83");
  ASSERT_OK_AND_ASSIGN(const std::vector<int32_t> joined_ids,
                       tokenizer->Encode(joined));
  EXPECT_EQ(joined_ids.size(), 397372u);
  EXPECT_EQ(tokenizer->Decode(joined_ids).value(), joined);
}

}  // namespace
}  // namespace quantd::test
