// VectorBlocks: how the weights of a group of input channels are cut into
// blocks that share their codes (vector_codebook.h). Blocks are counted along
// rows of blocks, from the first row down: the order of codes. Those at an edge
// are cut off.
//
// Immutable, thread-safe.
#ifndef QUANTD_MODELS_LAYOUTS_VECTOR_BLOCKS_H_
#define QUANTD_MODELS_LAYOUTS_VECTOR_BLOCKS_H_

#include <algorithm>
#include <cstdint>

namespace quantd {

class VectorBlocks {
 public:
  // `columns` input channels of a layer of `rows` rows, in blocks of
  // vector_rows x vector_cols.
  VectorBlocks(int64_t rows, int64_t columns, int64_t vector_rows,
               int64_t vector_cols)
      : rows_(rows),
        columns_(columns),
        vector_rows_(vector_rows),
        vector_cols_(vector_cols),
        down_((rows + vector_rows - 1) / vector_rows),
        across_((columns + vector_cols - 1) / vector_cols) {}

  int64_t vector_rows() const { return vector_rows_; }
  int64_t vector_cols() const { return vector_cols_; }
  // Entries of a block.
  int64_t dimension() const { return vector_rows_ * vector_cols_; }

  int64_t down() const { return down_; }
  int64_t across() const { return across_; }
  int64_t count() const { return down_ * across_; }

  // Calls visit(row, column, entry) for the weights of a block, `column` among
  // the channels of the group, `entry` of the block.
  template <typename Visit>
  void ForEachWeight(int64_t block, Visit visit) const {
    const int64_t row_begin = block / across_ * vector_rows_;
    const int64_t row_end = std::min(row_begin + vector_rows_, rows_);
    const int64_t begin = block % across_ * vector_cols_;
    const int64_t end = std::min(begin + vector_cols_, columns_);
    for (int64_t r = row_begin; r < row_end; ++r) {
      for (int64_t c = begin; c < end; ++c) {
        visit(r, c, (r - row_begin) * vector_cols_ + c - begin);
      }
    }
  }

 private:
  int64_t rows_;
  int64_t columns_;
  int64_t vector_rows_;
  int64_t vector_cols_;
  int64_t down_;
  int64_t across_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_LAYOUTS_VECTOR_BLOCKS_H_
