// Which sequences the rows of a batch belong to. Rows are tokens; sequences lie
// one after the other and may differ in length. Where a cache holds the
// beginning of a sequence, only its new tokens are rows.
//
//   auto batch = SequenceBatch::Uniform(8, 512);      // 8 windows of 512
//   auto step = SequenceBatch::Continue({17, 4}, {1, 1});  // one token each
//
// Immutable, thread-safe.
#ifndef QUANTD_TENSOR_SEQUENCE_BATCH_H_
#define QUANTD_TENSOR_SEQUENCE_BATCH_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace quantd {

class SequenceBatch {
 public:
  struct Sequence {
    int64_t begin = 0;   // its first row
    int64_t tokens = 0;  // its rows
    int64_t past = 0;    // tokens before its first row, held by a cache
  };

  // `sequences` sequences of `tokens` tokens from position 0.
  static SequenceBatch Uniform(int64_t sequences, int64_t tokens) {
    SequenceBatch batch;
    for (int64_t s = 0; s < sequences; ++s) batch.Append(tokens, 0);
    return batch;
  }

  // Sequences of the given lengths from position 0.
  static SequenceBatch Ragged(absl::Span<const int64_t> tokens) {
    SequenceBatch batch;
    for (int64_t count : tokens) batch.Append(count, 0);
    return batch;
  }

  // Sequence i goes on with tokens[i] rows after past[i] tokens.
  // REQUIRES: equal sizes.
  static SequenceBatch Continue(absl::Span<const int64_t> past,
                                absl::Span<const int64_t> tokens) {
    SequenceBatch batch;
    for (size_t i = 0; i < past.size(); ++i) batch.Append(tokens[i], past[i]);
    return batch;
  }

  const std::vector<Sequence>& sequences() const { return sequences_; }
  int64_t rows() const { return static_cast<int64_t>(positions_.size()); }

  // The position of every row in its sequence.
  const std::vector<int32_t>& positions() const { return positions_; }

  // Length of the longest sequence, with its past.
  int64_t longest() const { return longest_; }

 private:
  void Append(int64_t tokens, int64_t past) {
    sequences_.push_back({rows(), tokens, past});
    for (int64_t t = 0; t < tokens; ++t) {
      positions_.push_back(static_cast<int32_t>(past + t));
    }
    longest_ = std::max(longest_, past + tokens);
  }

  std::vector<Sequence> sequences_;
  std::vector<int32_t> positions_;
  int64_t longest_ = 0;
};

}  // namespace quantd

#endif  // QUANTD_TENSOR_SEQUENCE_BATCH_H_
