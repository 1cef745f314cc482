#include "models/layouts/tunable_vector_codebook.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernels/float_formats.h"
#include "models/layouts/packed_codebook.h"
#include "models/layouts/vector_blocks.h"
#include "models/layouts/vector_code_choice.h"
#include "tensor/estimators.h"
#include "tensor/tensor.h"

namespace quantd {
namespace {

// `w` with the parameters of `trained`, as they are stored.
absl::StatusOr<std::shared_ptr<const CompressedLinear>> Store(
    VectorCodebookWeights w, const StoredParameters& trained) {
  const float* entry = trained.table.data();
  for (CodebookGroup& group : w.groups) {
    for (IndexedCodebook& book : group.codebooks) {
      for (float& value : book.entries) value = *entry++;
      if (book.centroid_bits == 8) {
        // Entries that nobody changed keep their scale.
        if (!CheckEntries(book).ok()) {
          book.scale = RoundToScaledInt8(absl::MakeSpan(book.entries));
        }
      } else {
        for (float& value : book.entries) value = NearestF16(value);
      }
    }
  }
  if (!w.row_scales.empty()) w.row_scales = ToVector(trained.scales);
  return NewVectorCodebook(std::move(w));
}

// Where the weights of a group, whose channels are `columns`, find their part
// from `book`, whose entries begin at `first` of the table.
void PlaceIndices(const VectorBlocks& blocks, absl::Span<const int64_t> columns,
                  const IndexedCodebook& book, uint32_t first, int64_t cols,
                  std::vector<uint32_t>* indices) {
  for (int64_t block = 0; block < blocks.count(); ++block) {
    const int64_t code = book.codes[static_cast<size_t>(block)];
    blocks.ForEachWeight(block, [&](int64_t r, int64_t c, int64_t entry) {
      (*indices)[static_cast<size_t>(r * cols +
                                     columns[static_cast<size_t>(c)])] =
          first + static_cast<uint32_t>(code * blocks.dimension() + entry);
    });
  }
}

}  // namespace

std::unique_ptr<TunableLinear> NewTunableVectorCodebook(
    VectorCodebookWeights weights, std::vector<std::vector<int64_t>> columns) {
  size_t lists = 0;
  for (const CodebookGroup& group : weights.groups) {
    lists = std::max(lists, group.codebooks.size());
  }
  auto indices = std::make_shared<ops::ValueIndices>(
      lists,
      std::vector<uint32_t>(static_cast<size_t>(weights.rows * weights.cols),
                            ops::kNoValue));
  std::vector<float> table;
  for (size_t g = 0; g < weights.groups.size(); ++g) {
    const CodebookGroup& group = weights.groups[g];
    const VectorBlocks blocks(weights.rows,
                              static_cast<int64_t>(columns[g].size()),
                              group.vector_rows, group.vector_cols);
    for (size_t s = 0; s < group.codebooks.size(); ++s) {
      const IndexedCodebook& book = group.codebooks[s];
      PlaceIndices(blocks, columns[g], book,
                   static_cast<uint32_t>(table.size()), weights.cols,
                   &(*indices)[s]);
      table.insert(table.end(), book.entries.begin(), book.entries.end());
    }
  }
  StoredParameters p;
  p.rows = weights.rows;
  p.cols = weights.cols;
  p.groups = ChannelGroupsOf(weights.cols, {});
  p.table = Tensor::FromValues({static_cast<int64_t>(table.size())}, table);
  // Entries of I8 codebooks are rounded when all is done.
  p.table_in_f16 = false;
  p.indices = std::move(indices);
  if (!weights.row_scales.empty()) {
    p.scales = Tensor::FromValues({weights.rows, 1}, weights.row_scales);
  }
  return NewTunable(
      std::move(p),
      [weights](const StoredParameters& trained) {
        return Store(weights, trained);
      },
      [weights, columns](const StoredParameters& trained) {
        return NewVectorCodeChoice(
            weights, columns, trained,
            [trained](const VectorCodebookWeights& chosen) {
              return Store(chosen, trained);
            });
      });
}

}  // namespace quantd
