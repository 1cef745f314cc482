// What the two byte pair families read alike from "model" of tokenizer.json.
#ifndef QUANTD_MODELS_TOKENIZERS_BYTE_PAIR_FILE_H_
#define QUANTD_MODELS_TOKENIZERS_BYTE_PAIR_FILE_H_

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "models/json_text.h"
#include "models/tokenizers/byte_pair_merger.h"
#include "models/tokenizers/vocabulary.h"

namespace quantd {

// Called with the two tokens of each merge.
using MergeSink =
    absl::FunctionRef<void(absl::string_view left, absl::string_view right)>;

// Fills `merger` from the member "merges": "a b" or ["a", "b"] in order of
// rank. The result of a merge is `left`, then `right` without its first
// `prefix_bytes`. InvalidArgument names the entry whose form is wrong or whose
// tokens are not in the vocabulary.
absl::Status ReadMerges(const JsonReader& model, const Vocabulary& vocabulary,
                        size_t prefix_bytes, MergeSink sink,
                        BytePairMerger* merger);

// Unimplemented when "dropout" asks for random encoding.
absl::Status RefuseDropout(const JsonReader& model);

}  // namespace quantd

#endif  // QUANTD_MODELS_TOKENIZERS_BYTE_PAIR_FILE_H_
