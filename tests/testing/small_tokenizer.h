// A byte-level BPE tokenizer.json small enough to reason about: token ids
// 0-255 are the bytes, then come the tokens given.
#ifndef QUANTD_TESTS_TESTING_SMALL_TOKENIZER_H_
#define QUANTD_TESTS_TESTING_SMALL_TOKENIZER_H_

#include <string>
#include <utility>
#include <vector>

#include "models/tokenizers/byte_level.h"
#include "nlohmann/json.hpp"

namespace quantd::test {

// Merges of ASCII text; each result becomes the next id, from 256 on.
inline nlohmann::json SmallTokenizer(
    const std::vector<std::pair<std::string, std::string>>& merges = {}) {
  using nlohmann::json;
  const auto written = [](const std::string& bytes) {
    std::string token;
    for (const char c : bytes) {
      token += ByteLevelSymbol(static_cast<uint8_t>(c));
    }
    return token;
  };
  json vocabulary = json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary[ByteLevelSymbol(static_cast<uint8_t>(byte))] = byte;
  }
  json lines = json::array();
  int next = 256;
  for (const auto& [left, right] : merges) {
    lines.push_back(written(left) + " " + written(right));
    const std::string merged = written(left + right);
    if (!vocabulary.contains(merged)) vocabulary[merged] = next++;
  }
  return json{
      {"version", "1.0"},
      {"added_tokens", json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", lines}}},
  };
}

inline nlohmann::json AddedTokenJson(int id, const std::string& content) {
  return {{"id", id}, {"content", content}, {"normalized", false}};
}

}  // namespace quantd::test

#endif  // QUANTD_TESTS_TESTING_SMALL_TOKENIZER_H_
