// Tables that attention looks up by position: cosines and sines of the rotary
// embedding, biases of ALiBi. Made once per model and grown on demand.
#ifndef QUANTD_MODELS_NETWORK_POSITION_TABLES_H_
#define QUANTD_MODELS_NETWORK_POSITION_TABLES_H_

#include <cstdint>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "models/model_description.h"
#include "tensor/tensor.h"

namespace quantd {

struct RotaryTable {
  Tensor cos;  // [positions, rotary_dim / 2]
  Tensor sin;
};

// Angular frequency of every pair, after scaling, for sequences of at most
// `longest` tokens (which matters to dynamic and LongRoPE scaling only).
std::vector<double> RotaryFrequencies(const RopeDescription& rope,
                                      int64_t longest);

// Positions 0 .. positions - 1 of sequences of at most `longest` tokens.
RotaryTable MakeRotaryTable(const RopeDescription& rope, int64_t positions,
                            int64_t longest);

// [heads, positions].
Tensor MakeKeyBias(const AlibiDescription& alibi, int64_t positions);

// Thread-safe.
class PositionTables {
 public:
  // `attention` must outlive the tables.
  explicit PositionTables(const AttentionDescription* attention)
      : attention_(*attention) {}

  // Tables for at least `longest` positions.
  RotaryTable Rotary(int64_t longest) const;
  Tensor KeyBias(int64_t longest) const;

 private:
  const AttentionDescription& attention_;
  mutable absl::Mutex mutex_;
  // The lengths that `rotary_` was made for: exactly this many where the
  // frequencies depend on it.
  mutable int64_t rotary_longest_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable RotaryTable rotary_ ABSL_GUARDED_BY(mutex_);
  mutable Tensor key_bias_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quantd

#endif  // QUANTD_MODELS_NETWORK_POSITION_TABLES_H_
