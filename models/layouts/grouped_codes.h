// What layouts of codes in groups of input channels have in common beside
// stored_parts.h: rows of codes as bit streams, their decoding, the index of
// groups, and the checks of these. Every error says what was expected; the
// caller adds the layer.
//
// Free functions, thread-safe.
#ifndef QUANTD_MODELS_LAYOUTS_GROUPED_CODES_H_
#define QUANTD_MODELS_LAYOUTS_GROUPED_CODES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/execution_context.h"
#include "models/compressed_linear.h"
#include "models/safetensors.h"
#include "nlohmann/json_fwd.hpp"
#include "tensor/tensor.h"

namespace quantd {

// Packs `count` values of `bits` bits into a little-endian bit stream, and
// back. The last byte is padded with zero bits.
void PackBits(const uint8_t* values, int64_t count, int bits, uint8_t* bytes);
void UnpackBits(const uint8_t* bytes, int64_t count, int bits, uint8_t* values);

// Bits that tell `groups` groups apart.
inline int GroupBits(int64_t groups) {
  int bits = 0;
  while (int64_t{1} << bits < groups) ++bits;
  return bits;
}

// Bytes of the bit stream of a row of codes.
inline int64_t PackedRowBytes(int64_t cols, int bits) {
  return (cols * bits + 7) / 8;
}

// [rows, cols] codes as one bit stream per row, each on a byte boundary.
// REQUIRES: CheckCodes().
std::vector<uint8_t> PackRows(const std::vector<uint8_t>& codes, int64_t rows,
                              int64_t cols, int bits);

// And back.
std::vector<uint8_t> UnpackRows(const std::vector<uint8_t>& bytes, int64_t rows,
                                int64_t cols, int bits);

// Values of `bits` bits as one bit stream.
std::string PackStream(const std::vector<uint8_t>& values, int bits);

// And back. REQUIRES: PackedRowBytes(count, bits) bytes.
std::vector<uint8_t> UnpackStream(absl::string_view stream, int64_t count,
                                  int bits);

// A weight [rows, cols] that decode(r, row r of it) makes, a few rows at a time
// on all threads.
Tensor DecodeRows(int64_t rows, int64_t cols,
                  absl::FunctionRef<void(int64_t row, float* out)> decode,
                  ExecutionContext& ctx);

// The same from PackRows(): decode() also gets the codes of the row.
Tensor DecodePackedRows(
    const std::vector<uint8_t>& bytes, int64_t rows, int64_t cols, int bits,
    absl::FunctionRef<void(int64_t row, const uint8_t* codes, float* out)>
        decode,
    ExecutionContext& ctx);

// Packed rows as a U8 tensor [rows, bytes.size() / rows].
TensorToWrite PackedRowsTensor(std::string name, int64_t rows,
                               const std::vector<uint8_t>& bytes);

// The part "group_index", I32 [cols], read and written.
absl::StatusOr<std::vector<int32_t>> GroupIndexPart(TensorFinder find,
                                                    absl::string_view layer,
                                                    int64_t cols);
TensorToWrite GroupIndexTensor(absl::string_view layer,
                               const std::vector<int32_t>& group_index);

// InvalidArgument unless bits is in least..8.
absl::Status CheckBits(int64_t bits, int least = 1);

// InvalidArgument unless group_size divides cols.
absl::Status CheckGroupSize(int64_t group_size, int64_t cols);

// The header's "bits" and "group_size", checked as above.
absl::StatusOr<int> HeaderBits(const nlohmann::json& header, int least = 1);
absl::StatusOr<int64_t> HeaderGroupSize(const nlohmann::json& header,
                                        int64_t cols);

// InvalidArgument unless `group_index` is empty or has one entry in
// [0, groups) per input channel.
absl::Status CheckGroupIndex(const std::vector<int32_t>& group_index,
                             int64_t cols, int64_t groups);

// InvalidArgument unless there are rows * cols codes below 2^bits.
absl::Status CheckCodes(const std::vector<uint8_t>& codes, int64_t rows,
                        int64_t cols, int bits);

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_GROUPED_CODES_H_
