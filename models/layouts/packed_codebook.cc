#include "models/layouts/packed_codebook.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "models/layouts/grouped_codes.h"
#include "models/layouts/stored_parts.h"

namespace quantd {
namespace {

constexpr int kMaxIndexBits = 16;

// Into a row of zeros; the other way round of GetCode().
void PutCode(uint32_t code, int64_t index, int bits, uint8_t* row) {
  const int64_t bit = index * bits;
  uint32_t word = code << (bit % 8);
  for (int64_t byte = bit / 8; word != 0; ++byte, word >>= 8) {
    row[byte] |= static_cast<uint8_t>(word);
  }
}

std::string PartName(absl::string_view kind, absl::string_view place) {
  return absl::StrCat(kind, ".", place);
}

Shape EntryShape(int index_bits, const VectorBlocks& blocks) {
  return {int64_t{1} << index_bits, blocks.dimension()};
}

Shape CodeShape(int index_bits, const VectorBlocks& blocks) {
  return {blocks.down(), PackedRowBytes(blocks.across(), index_bits)};
}

// --- The checks that memory and disk share ---------------------------------

absl::Status CheckCodebookBits(int64_t index_bits, int64_t centroid_bits) {
  RETURN_IF_ERROR(CheckRange("index_bits", index_bits, 1, kMaxIndexBits));
  if (centroid_bits != 8 && centroid_bits != 16) {
    return absl::InvalidArgumentError(
        absl::StrCat("centroid_bits ", centroid_bits, " is neither 8 nor 16"));
  }
  return absl::OkStatus();
}

absl::Status CheckScale(float scale) {
  RETURN_IF_ERROR(CheckF16(absl::MakeConstSpan(&scale, 1), "codebook_scale"));
  if (scale > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("codebook_scale ", scale, " is not positive"));
}

}  // namespace

absl::Status CheckEntries(const IndexedCodebook& book) {
  if (book.centroid_bits == 16) return CheckF16(book.entries, "centroid");
  RETURN_IF_ERROR(CheckScale(book.scale));
  for (float entry : book.entries) {
    const float steps = std::nearbyint(entry / book.scale);
    if (!(std::abs(steps) <= 127) || steps * book.scale != entry) {
      return absl::InvalidArgumentError(absl::StrCat(
          "centroid ", entry, " is not -127..127 times ", book.scale));
    }
  }
  return absl::OkStatus();
}

// --- In memory -------------------------------------------------------------

absl::StatusOr<PackedCodebook> PackCodebook(IndexedCodebook book,
                                            const VectorBlocks& blocks) {
  RETURN_IF_ERROR(CheckCodebookBits(book.index_bits, book.centroid_bits));
  RETURN_IF_ERROR(CheckCount("codes", book.codes.size(), blocks.count()));
  RETURN_IF_ERROR(CheckCount("centroid entries", book.entries.size(),
                             blocks.dimension() << book.index_bits));
  RETURN_IF_ERROR(CheckEntries(book));
  PackedCodebook packed;
  packed.index_bits = book.index_bits;
  packed.centroid_bits = book.centroid_bits;
  packed.scale = book.scale;
  packed.entries = std::move(book.entries);
  const int64_t across = blocks.across();
  const int64_t row_bytes = PackedRowBytes(across, book.index_bits);
  packed.codes.assign(static_cast<size_t>(blocks.down() * row_bytes), 0);
  for (int64_t d = 0; d < blocks.down(); ++d) {
    for (int64_t j = 0; j < across; ++j) {
      const uint32_t code = book.codes[static_cast<size_t>(d * across + j)];
      if (code >> book.index_bits != 0) {
        return absl::InvalidArgumentError(absl::StrCat(
            "code ", code, " exceeds ", (1 << book.index_bits) - 1));
      }
      PutCode(code, j, book.index_bits, packed.codes.data() + d * row_bytes);
    }
  }
  return packed;
}

IndexedCodebook UnpackCodebook(const PackedCodebook& packed,
                               const VectorBlocks& blocks) {
  IndexedCodebook book;
  book.index_bits = packed.index_bits;
  book.centroid_bits = packed.centroid_bits;
  book.scale = packed.scale;
  book.entries = packed.entries;
  const int64_t row_bytes = PackedRowBytes(blocks.across(), book.index_bits);
  for (int64_t d = 0; d < blocks.down(); ++d) {
    const uint8_t* row = packed.codes.data() + d * row_bytes;
    for (int64_t j = 0; j < blocks.across(); ++j) {
      book.codes.push_back(
          static_cast<uint16_t>(GetCode(row, j, book.index_bits)));
    }
  }
  return book;
}

// --- On disk ---------------------------------------------------------------

void SaveCodebook(const PackedCodebook& packed, const VectorBlocks& blocks,
                  absl::string_view layer, absl::string_view place,
                  std::vector<TensorToWrite>* tensors) {
  tensors->push_back({absl::StrCat(layer, ".", PartName("codes", place)),
                      DType::kU8, CodeShape(packed.index_bits, blocks),
                      std::string(packed.codes.begin(), packed.codes.end())});
  const Shape shape = EntryShape(packed.index_bits, blocks);
  const std::string name =
      absl::StrCat(layer, ".", PartName("codebook", place));
  if (packed.centroid_bits == 16) {
    tensors->push_back(F16Tensor(name, shape, packed.entries));
    return;
  }
  std::string bytes(packed.entries.size(), '\0');
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<char>(std::lround(packed.entries[i] / packed.scale));
  }
  tensors->push_back({name, DType::kI8, shape, std::move(bytes)});
  tensors->push_back(
      F16Tensor(absl::StrCat(layer, ".", PartName("codebook_scale", place)),
                {1}, absl::MakeConstSpan(&packed.scale, 1)));
}

absl::StatusOr<PackedCodebook> LoadCodebook(TensorFinder find,
                                            absl::string_view layer,
                                            absl::string_view place,
                                            int index_bits, int centroid_bits,
                                            const VectorBlocks& blocks) {
  RETURN_IF_ERROR(
      Annotate(CheckCodebookBits(index_bits, centroid_bits), "header"));
  PackedCodebook packed;
  packed.index_bits = index_bits;
  packed.centroid_bits = centroid_bits;
  const Shape shape = EntryShape(index_bits, blocks);
  const std::string name = PartName("codebook", place);
  if (centroid_bits == 16) {
    ASSIGN_OR_RETURN(packed.entries, F16Part(find, layer, name, shape));
  } else {
    ASSIGN_OR_RETURN(const absl::string_view bytes,
                     PartBytes(find, layer, name, DType::kI8, shape));
    ASSIGN_OR_RETURN(
        const std::vector<float> scale,
        F16Part(find, layer, PartName("codebook_scale", place), {1}));
    packed.scale = scale[0];
    RETURN_IF_ERROR(CheckScale(packed.scale));
    for (char byte : bytes) {
      const int steps = static_cast<signed char>(byte);
      RETURN_IF_ERROR(CheckRange(name, steps, -127, 127));
      packed.entries.push_back(static_cast<float>(steps) * packed.scale);
    }
  }
  ASSIGN_OR_RETURN(const absl::string_view codes,
                   PartBytes(find, layer, PartName("codes", place), DType::kU8,
                             CodeShape(index_bits, blocks)));
  packed.codes.assign(codes.begin(), codes.end());
  return packed;
}

}  // namespace quantd
