// 64-bit hashes of n-grams, the same on every machine. Two different n-grams
// meet with the chance 2^-64; whoever is to be fooled on purpose can be.
//
// Thread-safe: free functions of their arguments.
#ifndef QUANTD_EVALUATORS_NGRAM_HASH_H_
#define QUANTD_EVALUATORS_NGRAM_HASH_H_

#include <cstddef>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace quantd {

// Of one unit.
uint64_t HashOfToken(int32_t token);
uint64_t HashOfWord(absl::string_view word);

// Calls `use` with the hash of each n-gram of `units` (hashes of single units),
// in order; never where there are fewer than n. Takes time linear in the units.
// REQUIRES: n > 0.
void ForEachNgram(absl::Span<const uint64_t> units, size_t n,
                  absl::FunctionRef<void(uint64_t hash)> use);

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_NGRAM_HASH_H_
