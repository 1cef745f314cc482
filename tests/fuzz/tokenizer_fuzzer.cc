// The input is a JSON text, then, behind a zero byte, a text to encode. A file
// that begins with '+' is a JSON merge patch of a small valid tokenizer, which
// takes the fuzzer past the checks that a vocabulary needs; any other is a
// tokenizer.json itself.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "models/json_text.h"
#include "models/tokenizer.h"
#include "nlohmann/json.hpp"
#include "tests/fuzz/fuzz_checks.h"
#include "tests/testing/small_tokenizer.h"

namespace quantd::test {
namespace {

// Text longer than this finds nothing new, only time-outs.
constexpr size_t kMaxTextBytes = 4096;

std::string TokenizerFile(absl::string_view input) {
  if (input.empty() || input[0] != '+') return std::string(input);
  const auto patch = ParseJson(input.substr(1), "patch");
  if (!patch.ok()) return std::string(input);
  nlohmann::json file = SmallTokenizer({{"a", "b"}, {"ab", "c"}, {" ", "a"}});
  file.merge_patch(*patch);
  return file.dump();
}

void Run(absl::string_view input) {
  const size_t end = input.find('\0');
  const absl::string_view text =
      end == absl::string_view::npos
          ? absl::string_view("abc a\n12  'll \xC3\xA9<s>")
          : input.substr(end + 1).substr(0, kMaxTextBytes);
  const auto tokenizer =
      ParseTokenizer(TokenizerFile(input.substr(0, end)), "");
  if (!tokenizer.ok()) return CheckRefusal(tokenizer.status());
  const auto ids = (*tokenizer)->Encode(text);
  if (!ids.ok()) return CheckRefusal(ids.status());
  for (const int32_t id : *ids) {
    FuzzCheck(id >= 0 && id < (*tokenizer)->vocabulary_size(),
              "ids are in the vocabulary");
  }
  const auto back = (*tokenizer)->Decode(*ids);
  FuzzCheck(back.ok(), "what was encoded can be decoded");
  FuzzCheck(IsValidUtf8(*back), "decoded text is UTF-8");
  const auto again = (*tokenizer)->Encode(text);
  FuzzCheck(again.ok() && *again == *ids, "encoding is deterministic");
}

}  // namespace
}  // namespace quantd::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quantd::test::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
