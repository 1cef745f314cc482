// Two loaded models that exchange one part at a time: a block or one linear
// layer. Runs hidden states through the rest of either network.
//
// Confined to one thread.
#ifndef QUANTD_EVALUATORS_UNIT_EXCHANGE_H_
#define QUANTD_EVALUATORS_UNIT_EXCHANGE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/execution_context.h"
#include "models/model.h"
#include "quantd/v1/evaluation.pb.h"
#include "tensor/sequence_batch.h"
#include "tensor/tensor.h"

namespace quantd {

// A part that is exchanged.
struct ExchangeUnit {
  int block = 0;
  int layer = -1;  // of the block's linears(); -1: the block
  std::string name;
  // Of the target.
  uint64_t weights = 0;
  double bits_per_weight = 0;
  bool compressed = false;
};

class UnitExchange {
 public:
  // Loads all blocks of both, which outlive the object. InvalidArgument names
  // the first thing that differs and is no linear weight: number of blocks,
  // layers or their shapes, a tensor outside the units.
  static absl::StatusOr<UnitExchange> Load(
      const Model& target, const Model& baseline,
      v1::AttributionGranularity granularity, ExecutionContext& ctx);

  // In the order of the network.
  const std::vector<ExchangeUnit>& units() const { return units_; }
  int block_count() const { return static_cast<int>(target_.size()); }

  // What enters every block of one of the models, and what leaves the last:
  // block_count() + 1 tensors of the shape of `hidden`.
  absl::StatusOr<std::vector<Tensor>> RunTarget(const Tensor& hidden,
                                                const SequenceBatch& batch,
                                                ExecutionContext& ctx);
  absl::StatusOr<std::vector<Tensor>> RunBaseline(const Tensor& hidden,
                                                  const SequenceBatch& batch,
                                                  ExecutionContext& ctx);

  // What leaves the last block of the baseline with this unit of the target.
  // `boundaries` are RunBaseline()'s.
  absl::StatusOr<Tensor> RunAlone(const ExchangeUnit& unit,
                                  const std::vector<Tensor>& boundaries,
                                  const SequenceBatch& batch,
                                  ExecutionContext& ctx);

  // The same of the target with this unit of the baseline. `boundaries` are
  // RunTarget()'s.
  absl::StatusOr<Tensor> RunRestored(const ExchangeUnit& unit,
                                     const std::vector<Tensor>& boundaries,
                                     const SequenceBatch& batch,
                                     ExecutionContext& ctx);

 private:
  using Blocks = std::vector<std::unique_ptr<Block>>;

  UnitExchange() = default;

  // Network `own` with `unit` of `other`, from the unit's block on.
  absl::StatusOr<Tensor> Run(Blocks& own, Blocks& other,
                             const ExchangeUnit& unit,
                             const std::vector<Tensor>& boundaries,
                             const SequenceBatch& batch, ExecutionContext& ctx);

  Blocks target_, baseline_;
  std::vector<ExchangeUnit> units_;
};

}  // namespace quantd

#endif  // QUANTD_EVALUATORS_UNIT_EXCHANGE_H_
