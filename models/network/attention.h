// Multi-head attention over a batch, as AttentionDescription says: separate or
// fused projections, grouped keys and values, rotary or ALiBi positions,
// windows, soft caps; with a cache of keys and values when the pass has one.
//
// Confined to one thread.
#ifndef QUANTD_MODELS_NETWORK_ATTENTION_H_
#define QUANTD_MODELS_NETWORK_ATTENTION_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/checkpoint.h"
#include "models/linear.h"
#include "models/model_description.h"
#include "models/network/block_pass.h"
#include "models/network/block_plan.h"
#include "models/network/norm.h"
#include "models/network/position_tables.h"
#include "tensor/ops.h"

namespace quantd {

// The keys and values that earlier passes computed, per sequence. Sequences
// made from one by Select() share its rows until they diverge.
class KeyValueCache final : public BlockState {
 public:
  void Select(absl::Span<const int> sources) override;
  size_t bytes() const override;

  // Adds the batch's new rows; views of all rows of every sequence. Sequences
  // beyond those known are new. FailedPrecondition when a sequence's past is
  // not what the cache holds.
  absl::StatusOr<std::vector<ops::KeyValueView>> Append(
      const Tensor& keys, const Tensor& values, const SequenceBatch& batch);

 private:
  struct Rows {
    std::vector<float> keys;
    std::vector<float> values;
    int64_t count = 0;
  };
  std::vector<std::shared_ptr<Rows>> sequences_;
};

class Attention final : public Mixer {
 public:
  // `linears` are those of `plan`, and outlive the object, as `description`
  // and `tables` do.
  static absl::StatusOr<std::unique_ptr<Attention>> Load(
      const Checkpoint& checkpoint, const AttentionDescription& description,
      int block, const BlockPlan& plan, absl::Span<const Linear> linears,
      const PositionTables& tables);

  absl::StatusOr<Tensor> Forward(const Tensor& x, BlockPass& pass) override;
  std::unique_ptr<BlockState> NewState() const override;
  void AppendParameters(std::vector<NamedParameter>* parameters) override;

 private:
  struct Projected {
    Tensor queries;
    Tensor keys;
    Tensor values;
  };

  Attention(const AttentionDescription& description, int block,
            absl::Span<const Linear> linears, const PositionTables& tables);

  absl::Status LoadNorms(const Checkpoint& checkpoint,
                         const std::string& prefix);
  Projected Project(const Tensor& x, ExecutionContext& ctx) const;
  Projected Split(const Tensor& fused) const;
  Tensor NormHeads(const Tensor& x, const std::vector<Norm>& norms,
                   ExecutionContext& ctx) const;

  const AttentionDescription& description_;
  const PositionTables& tables_;
  const absl::Span<const Linear> linears_;
  ops::AttentionOptions options_;
  // One for all heads, or one a head; empty when there are none.
  std::vector<Norm> query_norms_;
  std::vector<Norm> key_norms_;
};

}  // namespace quantd

#endif  // QUANTD_MODELS_NETWORK_ATTENTION_H_
