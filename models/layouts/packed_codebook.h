// PackedCodebook: what vector-codebook.v1 (vector_codebook.h) stores of one
// codebook, and the way there from memory and from disk with the checks that
// both share. Errors say what was expected; the caller adds group and codebook.
//
// Free functions, thread-safe.
#ifndef QUANTD_MODELS_LAYOUTS_PACKED_CODEBOOK_H_
#define QUANTD_MODELS_LAYOUTS_PACKED_CODEBOOK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/compressed_linear.h"
#include "models/layouts/vector_blocks.h"
#include "models/layouts/vector_codebook.h"

namespace quantd {

struct PackedCodebook {
  int index_bits = 0;
  int centroid_bits = 0;
  float scale = 1.0f;
  std::vector<float> entries;
  // [blocks down, PackedRowBytes(blocks across, index_bits)]
  std::vector<uint8_t> codes;
};

// Code `index` of a row of codes; up to 16 bits, which reach into three bytes.
inline uint32_t GetCode(const uint8_t* row, int64_t index, int bits) {
  const int64_t bit = index * bits;
  const int64_t last = (bit + bits - 1) / 8;
  uint32_t word = 0;
  for (int64_t byte = last; byte >= bit / 8; --byte) {
    word = word << 8 | row[byte];
  }
  return word >> (bit % 8) & ((1u << bits) - 1);
}

// InvalidArgument: bits, a number of codes or entries, a code, an entry is not
// one that can be stored.
absl::StatusOr<PackedCodebook> PackCodebook(IndexedCodebook book,
                                            const VectorBlocks& blocks);

// And back.
IndexedCodebook UnpackCodebook(const PackedCodebook& packed,
                               const VectorBlocks& blocks);

// InvalidArgument unless the entries are exact in F16, or multiples of a
// positive scale.
absl::Status CheckEntries(const IndexedCodebook& book);

// The tensors of the codebook; `place` is "<g>.<s>" of their names.
void SaveCodebook(const PackedCodebook& packed, const VectorBlocks& blocks,
                  absl::string_view layer, absl::string_view place,
                  std::vector<TensorToWrite>* tensors);
absl::StatusOr<PackedCodebook> LoadCodebook(TensorFinder find,
                                            absl::string_view layer,
                                            absl::string_view place,
                                            int index_bits, int centroid_bits,
                                            const VectorBlocks& blocks);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_PACKED_CODEBOOK_H_
