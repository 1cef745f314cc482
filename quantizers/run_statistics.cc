#include "quantizers/run_statistics.h"

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {

absl::Status RunStatistics::WeighTokens(int k, Block& block,
                                        ExecutionContext& ctx) {
  const TokenWeighting& weighting = request_.token_weighting;
  if (weighting.uniform()) {
    token_weights_.emplace();
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(flows_.Advance(k, ctx));
  ASSIGN_OR_RETURN(token_weights_,
                   flows_.flow().WeighTokens(block, weighting, ctx));
  return absl::OkStatus();
}

absl::StatusOr<std::map<int, LayerStatistics>> RunStatistics::Of(
    int k, Block& block, int first, int last, bool untouched,
    ExecutionContext& ctx) {
  std::map<int, LayerStatistics> result;
  if (!request_.gathers()) {
    for (int set = first; set <= last; ++set) result[set] = LayerStatistics();
    return result;
  }
  const bool shared = untouched && store_.enabled();
  for (int set = first; set <= last && shared; ++set) {
    const int layer = block.linear_sets()[static_cast<size_t>(set)][0];
    auto found = store_.Find(
        KeyOf(k, set), block.linears()[static_cast<size_t>(layer)].cols());
    if (!found.has_value()) break;
    result[set] = *std::move(found);
  }
  if (static_cast<int>(result.size()) == last - first + 1) {
    reused_ += last - first + 1;
    return result;
  }
  result.clear();
  RETURN_IF_ERROR(flows_.Advance(k, ctx));
  if (!token_weights_.has_value()) RETURN_IF_ERROR(WeighTokens(k, block, ctx));
  ASSIGN_OR_RETURN(result, flows_.flow().Gather(block, first, last, request_,
                                                *token_weights_, ctx));
  for (const auto& [set, statistics] : result) {
    if (!shared) break;
    const absl::Status kept = store_.Put(KeyOf(k, set), statistics);
    if (!kept.ok()) {
      ctx.ReportWarning(absl::StrCat(
          "statistics are not kept for other recipes: ", kept.message()));
      break;
    }
  }
  return result;
}

StatisticsKey RunStatistics::KeyOf(int block, int set) const {
  StatisticsKey key = common_key_;
  key.block = block;
  key.set = set;
  return key;
}

}  // namespace quantd
