#include "quantizers/finished_blocks.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "models/compressed_linear.h"
#include "nlohmann/json.hpp"

namespace quantd {

void FinishedBlock::Keep(std::vector<LayerReport> reports) {
  std::move(reports.begin(), reports.end(), std::back_inserter(record.reports));
}

void FinishedBlock::Collect(const Linear& layer) {
  if (layer.compressed() == nullptr) {
    copied.push_back(layer.name() + ".weight");
    return;
  }
  record.headers[layer.name()] =
      layer.compressed()->Save(layer.name(), &tensors);
  record.stored_bits += layer.compressed()->stored_bits();
  record.weights += static_cast<uint64_t>(layer.rows() * layer.cols());
}

bool FinishedBlocks::TakeOver(int k, ExecutionContext& ctx) {
  std::optional<BlockRecord> record =
      workspace_.FindBlock(k, writer_.ShardPath(k));
  if (!record.has_value()) return false;
  ++taken_over_;
  ctx.ReportNote(
      absl::StrCat("block ", k, " taken over from an earlier attempt"));
  Append(*std::move(record));
  return true;
}

absl::Status FinishedBlocks::Write(int k, FinishedBlock block,
                                   ExecutionContext& ctx) {
  RETURN_IF_ERROR(writer_.WriteShard(k, block.tensors, block.copied));
  BlockRecord& record = block.record;
  ASSIGN_OR_RETURN(record.shard_digest, Sha256HexOfFile(writer_.ShardPath(k)));
  RETURN_IF_ERROR(workspace_.WriteBlock(k, record));
  ctx.ReportNote(
      absl::StrCat("block ", k, " of ", model_.block_count(), " written"));
  Append(std::move(record));
  return absl::OkStatus();
}

absl::Status FinishedBlocks::LoadCompressed(int k, Block& block,
                                            ExecutionContext& ctx) const {
  ASSIGN_OR_RETURN(const auto shard,
                   SafetensorsFile::Open(writer_.ShardPath(k)));
  auto find =
      [&](absl::string_view name) -> absl::StatusOr<const StoredTensor*> {
    const auto it = shard->tensors().find(std::string(name));
    if (it == shard->tensors().end()) {
      return absl::NotFoundError(
          absl::StrCat(shard->path(), ": no tensor ", name));
    }
    return &it->second;
  };
  for (Linear& layer : block.linears()) {
    const auto header = total_.headers.find(layer.name());
    if (header == total_.headers.end()) continue;
    ASSIGN_OR_RETURN(auto compressed,
                     LoadCompressedLinear(find, layer.name(), *header,
                                          layer.rows(), layer.cols()));
    layer.SetCompressed(std::move(compressed), ctx);
  }
  return absl::OkStatus();
}

void FinishedBlocks::Append(BlockRecord record) {
  total_.headers.update(record.headers);
  total_.stored_bits += record.stored_bits;
  total_.weights += record.weights;
  std::move(record.reports.begin(), record.reports.end(),
            std::back_inserter(total_.reports));
  if (record.reconstruction.has_value()) {
    reconstructions_.push_back(*std::move(record.reconstruction));
  }
}

}  // namespace quantd
