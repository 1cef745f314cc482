#include "models/layouts/grouped_codes.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/layouts/stored_parts.h"
#include "nlohmann/json.hpp"

namespace quantd {

void PackBits(const uint8_t* values, int64_t count, int bits, uint8_t* bytes) {
  std::memset(bytes, 0, static_cast<size_t>(PackedRowBytes(count, bits)));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t bit = i * bits;
    const uint32_t word = uint32_t{values[i]} << (bit % 8);
    bytes[bit / 8] |= static_cast<uint8_t>(word);
    if (bit % 8 + bits > 8) {
      bytes[bit / 8 + 1] |= static_cast<uint8_t>(word >> 8);
    }
  }
}

void UnpackBits(const uint8_t* bytes, int64_t count, int bits,
                uint8_t* values) {
  const uint32_t mask = (1u << bits) - 1;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t bit = i * bits;
    uint32_t word = bytes[bit / 8];
    if (bit % 8 + bits > 8) word |= uint32_t{bytes[bit / 8 + 1]} << 8;
    values[i] = static_cast<uint8_t>((word >> (bit % 8)) & mask);
  }
}

std::vector<uint8_t> PackRows(const std::vector<uint8_t>& codes, int64_t rows,
                              int64_t cols, int bits) {
  const int64_t row_bytes = PackedRowBytes(cols, bits);
  std::vector<uint8_t> packed(static_cast<size_t>(rows * row_bytes));
  for (int64_t r = 0; r < rows; ++r) {
    PackBits(codes.data() + r * cols, cols, bits,
             packed.data() + r * row_bytes);
  }
  return packed;
}

std::vector<uint8_t> UnpackRows(const std::vector<uint8_t>& bytes, int64_t rows,
                                int64_t cols, int bits) {
  std::vector<uint8_t> codes(static_cast<size_t>(rows * cols));
  const int64_t row_bytes = PackedRowBytes(cols, bits);
  for (int64_t r = 0; r < rows; ++r) {
    UnpackBits(bytes.data() + r * row_bytes, cols, bits,
               codes.data() + r * cols);
  }
  return codes;
}

std::string PackStream(const std::vector<uint8_t>& values, int bits) {
  const int64_t count = static_cast<int64_t>(values.size());
  std::string stream(static_cast<size_t>(PackedRowBytes(count, bits)), '\0');
  PackBits(values.data(), count, bits,
           reinterpret_cast<uint8_t*>(stream.data()));
  return stream;
}

std::vector<uint8_t> UnpackStream(absl::string_view stream, int64_t count,
                                  int bits) {
  std::vector<uint8_t> values(static_cast<size_t>(count));
  UnpackBits(reinterpret_cast<const uint8_t*>(stream.data()), count, bits,
             values.data());
  return values;
}

Tensor DecodeRows(int64_t rows, int64_t cols,
                  absl::FunctionRef<void(int64_t row, float* out)> decode,
                  ExecutionContext& ctx) {
  // Fixed, so the partition does not depend on the threads.
  constexpr int64_t kPieceRows = 16;
  Tensor out = Tensor::Uninitialized({rows, cols});
  const int64_t pieces = (rows + kPieceRows - 1) / kPieceRows;
  ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
    const int64_t end = std::min((piece + 1) * kPieceRows, rows);
    for (int64_t r = piece * kPieceRows; r < end; ++r) decode(r, out.row(r));
  });
  return out;
}

Tensor DecodePackedRows(
    const std::vector<uint8_t>& bytes, int64_t rows, int64_t cols, int bits,
    absl::FunctionRef<void(int64_t row, const uint8_t* codes, float* out)>
        decode,
    ExecutionContext& ctx) {
  const int64_t row_bytes = PackedRowBytes(cols, bits);
  return DecodeRows(
      rows, cols,
      [&](int64_t r, float* out) {
        std::vector<uint8_t> codes(static_cast<size_t>(cols));
        UnpackBits(bytes.data() + r * row_bytes, cols, bits, codes.data());
        decode(r, codes.data(), out);
      },
      ctx);
}

TensorToWrite PackedRowsTensor(std::string name, int64_t rows,
                               const std::vector<uint8_t>& bytes) {
  return {std::move(name),
          DType::kU8,
          {rows, static_cast<int64_t>(bytes.size()) / rows},
          std::string(bytes.begin(), bytes.end())};
}

absl::StatusOr<std::vector<int32_t>> GroupIndexPart(TensorFinder find,
                                                    absl::string_view layer,
                                                    int64_t cols) {
  ASSIGN_OR_RETURN(const absl::string_view bytes,
                   PartBytes(find, layer, "group_index", DType::kI32, {cols}));
  std::vector<int32_t> index(static_cast<size_t>(cols));
  std::memcpy(index.data(), bytes.data(), bytes.size());
  return index;
}

TensorToWrite GroupIndexTensor(absl::string_view layer,
                               const std::vector<int32_t>& group_index) {
  return {absl::StrCat(layer, ".group_index"),
          DType::kI32,
          {static_cast<int64_t>(group_index.size())},
          std::string(reinterpret_cast<const char*>(group_index.data()),
                      group_index.size() * sizeof(int32_t))};
}

absl::Status CheckBits(int64_t bits, int least) {
  return CheckRange("bits", bits, least, 8);
}

absl::Status CheckGroupSize(int64_t group_size, int64_t cols) {
  if (group_size < 1 || cols % group_size != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "group_size ", group_size, " does not divide the input size ", cols));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> HeaderBits(const nlohmann::json& header, int least) {
  ASSIGN_OR_RETURN(const int64_t bits, HeaderInt(header, "bits"));
  RETURN_IF_ERROR(Annotate(CheckBits(bits, least), "header"));
  return static_cast<int>(bits);
}

absl::StatusOr<int64_t> HeaderGroupSize(const nlohmann::json& header,
                                        int64_t cols) {
  ASSIGN_OR_RETURN(const int64_t group_size, HeaderInt(header, "group_size"));
  RETURN_IF_ERROR(Annotate(CheckGroupSize(group_size, cols), "header"));
  return group_size;
}

absl::Status CheckGroupIndex(const std::vector<int32_t>& group_index,
                             int64_t cols, int64_t groups) {
  if (group_index.empty()) return absl::OkStatus();
  if (group_index.size() != static_cast<size_t>(cols)) {
    return absl::InvalidArgumentError(
        absl::StrCat("group_index has ", group_index.size(), " entries for ",
                     cols, " input channels"));
  }
  for (const int32_t g : group_index) {
    RETURN_IF_ERROR(CheckRange("group_index", g, 0, groups - 1));
  }
  return absl::OkStatus();
}

absl::Status CheckCodes(const std::vector<uint8_t>& codes, int64_t rows,
                        int64_t cols, int bits) {
  RETURN_IF_ERROR(CheckCount("codes", codes.size(), rows * cols));
  const int max_code = (1 << bits) - 1;
  for (const uint8_t code : codes) {
    if (code > max_code) {
      return absl::InvalidArgumentError(
          absl::StrCat("code ", int{code}, " exceeds ", max_code));
    }
  }
  return absl::OkStatus();
}

}  // namespace quantd
