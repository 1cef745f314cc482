// The first byte is the length of a text to encode, which follows; the rest is
// a tokenizer.model. One that begins with '+' is appended to a small valid one,
// whose fields it repeats or changes, which takes the fuzzer past the checks
// that a vocabulary needs.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "models/tokenizer.h"
#include "tests/fuzz/fuzz_checks.h"
#include "tests/testing/sentence_piece_bytes.h"

namespace quantd::test {
namespace {

void Run(absl::string_view input) {
  if (input.empty()) return;
  const auto length = static_cast<uint8_t>(input[0]);
  input.remove_prefix(1);
  const absl::string_view text = input.substr(0, length);
  input.remove_prefix(text.size());
  std::string model;
  if (!input.empty() && input[0] == '+') {
    model = SmallPieces();
    input.remove_prefix(1);
  }
  model += std::string(input);
  const auto tokenizer = ParseSentencePieceTokenizer(model, "");
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
