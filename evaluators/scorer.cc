#include "evaluators/scorer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

// Rows of logits held at once are bounded by this many floats (32 MiB).
constexpr int64_t kMaxLogits = int64_t{1} << 23;

absl::Status CheckRequest(const ScoreRequest& request) {
  const int64_t size = static_cast<int64_t>(request.tokens.size());
  if (request.first_target < 1 || request.target_count < 1 ||
      request.first_target + int64_t{request.target_count} > size) {
    return absl::InvalidArgumentError(
        absl::StrCat("a request scores targets ", request.first_target, "..",
                     request.first_target + int64_t{request.target_count} - 1,
                     " of ", size, " tokens"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Scorer> Scorer::Load(const Model& model, ExecutionContext& ctx) {
  if (!model.description().predicts_next_token) {
    return absl::InvalidArgumentError(absl::StrCat(
        model.checkpoint().directory(), ": ", model.description().architecture,
        " predicts masked tokens, not the next one, and has no likelihood of a "
        "text"));
  }
  Scorer scorer(&model);
  for (int k = 0; k < model.block_count(); ++k) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    ASSIGN_OR_RETURN(std::unique_ptr<Block> block, model.LoadBlock(k, ctx));
    scorer.blocks_.push_back(std::move(block));
  }
  return scorer;
}

absl::StatusOr<std::vector<double>> Scorer::ScoreBatch(
    absl::Span<const ScoreRequest> batch, ExecutionContext& ctx) {
  const int64_t length = static_cast<int64_t>(batch[0].tokens.size());
  std::vector<int32_t> tokens;
  std::vector<int32_t> targets;
  std::vector<int64_t> positions;  // rows of the batch that predict a target
  for (size_t i = 0; i < batch.size(); ++i) {
    const ScoreRequest& request = batch[i];
    tokens.insert(tokens.end(), request.tokens.begin(), request.tokens.end());
    for (int t = 0; t < request.target_count; ++t) {
      const int target = request.first_target + t;
      targets.push_back(request.tokens[static_cast<size_t>(target)]);
      positions.push_back(static_cast<int64_t>(i) * length + target - 1);
    }
  }
  const auto sequences =
      SequenceBatch::Uniform(static_cast<int64_t>(batch.size()), length);
  ASSIGN_OR_RETURN(Tensor hidden, model_->Embed(tokens, sequences, ctx));
  for (const std::unique_ptr<Block>& block : blocks_) {
    ASSIGN_OR_RETURN(hidden, block->Forward(hidden, sequences, ctx));
  }
  const int64_t vocabulary = model_->description().vocabulary_size;
  const int64_t chunk = std::max<int64_t>(1, kMaxLogits / vocabulary);
  const int64_t scored = static_cast<int64_t>(positions.size());
  std::vector<double> nll(positions.size());
  for (int64_t begin = 0; begin < scored; begin += chunk) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    const int64_t rows = std::min(chunk, scored - begin);
    Tensor gathered = Tensor::Uninitialized({rows, hidden.cols()});
    for (int64_t r = 0; r < rows; ++r) {
      std::copy_n(hidden.row(positions[static_cast<size_t>(begin + r)]),
                  hidden.cols(), gathered.row(r));
    }
    ASSIGN_OR_RETURN(const Tensor logits, model_->Logits(gathered, ctx));
    ctx.device().NegativeLogLikelihood(logits.data(), targets.data() + begin,
                                       rows, vocabulary, nll.data() + begin);
  }
  return nll;
}

absl::Status Scorer::Score(
    absl::Span<const ScoreRequest> requests, int batch_windows,
    absl::FunctionRef<absl::Status(size_t, absl::Span<const double>)> sink,
    absl::FunctionRef<void(size_t done)> on_progress, ExecutionContext& ctx) {
  size_t done = 0;
  while (done < requests.size()) {
    size_t count = 0;
    while (count < static_cast<size_t>(std::max(1, batch_windows)) &&
           done + count < requests.size() &&
           requests[done + count].tokens.size() ==
               requests[done].tokens.size()) {
      RETURN_IF_ERROR(CheckRequest(requests[done + count]));
      ++count;
    }
    const auto batch = requests.subspan(done, count);
    ASSIGN_OR_RETURN(const std::vector<double> nll, ScoreBatch(batch, ctx));
    size_t offset = 0;
    for (size_t i = 0; i < count; ++i) {
      const size_t targets = static_cast<size_t>(batch[i].target_count);
      RETURN_IF_ERROR(
          sink(done + i, absl::MakeConstSpan(nll).subspan(offset, targets)));
      offset += targets;
    }
    done += count;
    on_progress(done);
  }
  return absl::OkStatus();
}

}  // namespace quantd
