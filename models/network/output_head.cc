#include "models/network/output_head.h"

#include <atomic>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/network/tensor_loader.h"
#include "models/tensor_conversion.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

// Rows of a tile that one thread converts at a time; fixed, and only a matter
// of speed.
constexpr int64_t kPieceRows = 64;

}  // namespace

absl::StatusOr<OutputHead> OutputHead::Load(const Checkpoint& checkpoint,
                                            const ModelDescription& description,
                                            uint64_t max_kept_bytes,
                                            ExecutionContext& ctx) {
  const HeadDescription& d = description.head;
  const int64_t hidden = description.hidden_size;
  const int64_t width = description.embedding.width;
  const int64_t vocabulary = description.vocabulary_size;
  OutputHead head(checkpoint, d);
  ASSIGN_OR_RETURN(head.norm_, Norm::Load(checkpoint, d.norm, "", hidden));
  if (d.projection.present()) {
    ASSIGN_OR_RETURN(head.projection_, LoadOuterLinear(checkpoint, d.projection,
                                                       width, hidden, ctx));
  }
  if (d.transform.present()) {
    ASSIGN_OR_RETURN(head.transform_, LoadOuterLinear(checkpoint, d.transform,
                                                      hidden, hidden, ctx));
  }
  ASSIGN_OR_RETURN(head.transform_norm_,
                   Norm::Load(checkpoint, d.transform_norm, "", hidden));
  const std::string name =
      (d.tied ? description.embedding.tokens : d.output) + ".weight";
  ASSIGN_OR_RETURN(head.stored_output_,
                   checkpoint.Find(StoredName(checkpoint, name)));
  const uint64_t bytes =
      static_cast<uint64_t>(vocabulary * width) * sizeof(float);
  if (bytes <= max_kept_bytes) {
    ASSIGN_OR_RETURN(head.output_,
                     LoadTensor(checkpoint, name, {vocabulary, width}));
  } else if (head.stored_output_->shape != Shape{vocabulary, width}) {
    return absl::InvalidArgumentError(
        absl::StrCat(checkpoint.directory(), ": tensor ", name, ": shape ",
                     ShapeToString(head.stored_output_->shape), ", expected ",
                     ShapeToString({vocabulary, width})));
  }
  if (!d.bias.empty()) {
    ASSIGN_OR_RETURN(head.bias_, LoadTensor(checkpoint, d.bias, {vocabulary}));
  }
  return head;
}

absl::StatusOr<Tensor> OutputHead::ConvertTile(int64_t begin, int64_t count,
                                               ExecutionContext& ctx) const {
  const int64_t width = stored_output_->shape[1];
  const size_t row_bytes =
      static_cast<size_t>(width) * DTypeSize(stored_output_->dtype);
  Tensor tile = Tensor::Uninitialized({count, width});
  std::atomic<bool> convertible{true};
  std::atomic<bool> finite{true};
  const int64_t pieces = (count + kPieceRows - 1) / kPieceRows;
  ctx.device().pool().ParallelFor(pieces, [&](int64_t piece) {
    const int64_t first = piece * kPieceRows;
    const int64_t rows = std::min(kPieceRows, count - first);
    const absl::Span<float> out(tile.row(first),
                                static_cast<size_t>(rows * width));
    if (!ConvertToFloat(*stored_output_,
                        static_cast<size_t>(begin + first) * row_bytes, out)
             .ok()) {
      convertible = false;
      return;
    }
    bool all_finite = true;
    for (float v : out) all_finite &= std::isfinite(v);
    if (!all_finite) finite = false;
  });
  // The one conversion that can fail does so for every piece alike; repeated
  // here for its message.
  if (!convertible) {
    return Annotate(ConvertToFloat(*stored_output_, 0, tile.values()),
                    checkpoint_->directory());
  }
  if (!finite) {
    return absl::InvalidArgumentError(absl::StrCat(
        checkpoint_->directory(), ": tensor ", stored_output_->name,
        " has a NaN or infinity in rows ", begin, "..", begin + count - 1));
  }
  return tile;
}

// With the output matrix whole: every record of a tape keeps its operands.
absl::StatusOr<Tensor> OutputHead::DifferentiableLogits(
    const Tensor& x, ExecutionContext& ctx) const {
  Tensor output = output_;
  if (output.size() == 0) {
    ASSIGN_OR_RETURN(output, ConvertTile(0, stored_output_->shape[0], ctx));
  }
  Tensor logits = ops::LinearProduct(x, output, ctx);
  if (bias_.size() > 0) logits = ops::AddBias(logits, bias_, ctx);
  if (description_->softcap > 0) {
    logits = ops::Softcap(logits, description_->softcap, ctx);
  }
  return logits;
}

Tensor OutputHead::Prepare(const Tensor& hidden, ExecutionContext& ctx) const {
  Tensor x = norm_.Apply(hidden, ctx);
  if (projection_.has_value()) x = projection_->Forward(x, ctx);
  if (transform_.has_value()) {
    x = ops::Activate(description_->transform_activation,
                      transform_->Forward(x, ctx), ctx);
    x = transform_norm_.Apply(x, ctx);
  }
  return x;
}

absl::Status OutputHead::TileLogits(const Tensor& x, int64_t begin,
                                    int64_t count, float* logits,
                                    int64_t stride,
                                    ExecutionContext& ctx) const {
  Tensor tile;
  if (output_.size() > 0) {
    tile = output_.Rows(begin, count);
  } else {
    ASSIGN_OR_RETURN(tile, ConvertTile(begin, count, ctx));
  }
  GemmArgs args;
  args.transpose_b = Transpose::kYes;
  args.m = x.rows();
  args.n = count;
  args.k = x.cols();
  args.a = x.data();
  args.lda = x.cols();
  args.b = tile.data();
  args.ldb = tile.cols();
  args.c = logits;
  args.ldc = stride;
  args.compute = ctx.compute_type();
  ctx.device().Gemm(args);
  return absl::OkStatus();
}

void OutputHead::Finish(int64_t begin, Tensor* logits,
                        ExecutionContext& ctx) const {
  if (bias_.size() > 0) {
    ctx.device().AddBias(bias_.data() + begin, logits->rows(), logits->cols(),
                         logits->data());
  }
  if (description_->softcap > 0) {
    ctx.device().Softcap(description_->softcap, logits->size(), logits->data());
  }
}

absl::StatusOr<Tensor> OutputHead::Logits(const Tensor& hidden,
                                          ExecutionContext& ctx) const {
  const Tensor x = Prepare(hidden, ctx);
  if (x.tape() != nullptr) return DifferentiableLogits(x, ctx);
  const int64_t vocabulary = stored_output_->shape[0];
  const int64_t tile_rows = TileRows(stored_output_->shape[1]);
  Tensor logits = Tensor::Uninitialized({x.rows(), vocabulary});
  for (int64_t begin = 0; begin < vocabulary; begin += tile_rows) {
    RETURN_IF_ERROR(TileLogits(x, begin,
                               std::min(tile_rows, vocabulary - begin),
                               logits.data() + begin, vocabulary, ctx));
  }
  if (output_.size() == 0) checkpoint_->Release(*stored_output_);
  Finish(0, &logits, ctx);
  return logits;
}

absl::Status OutputHead::ForLogitTiles(
    const Tensor& hidden,
    absl::FunctionRef<absl::Status(int64_t begin, const Tensor& logits)> tile,
    ExecutionContext& ctx) const {
  const Tensor x = Prepare(hidden, ctx);
  const int64_t vocabulary = stored_output_->shape[0];
  const int64_t tile_rows = TileRows(stored_output_->shape[1]);
  Tensor logits;
  for (int64_t begin = 0; begin < vocabulary; begin += tile_rows) {
    const int64_t count = std::min(tile_rows, vocabulary - begin);
    if (logits.size() == 0 || logits.cols() != count) {
      logits = Tensor::Uninitialized({x.rows(), count});
    }
    RETURN_IF_ERROR(TileLogits(x, begin, count, logits.data(), count, ctx));
    Finish(begin, &logits, ctx);
    RETURN_IF_ERROR(tile(begin, logits));
  }
  if (output_.size() == 0) checkpoint_->Release(*stored_output_);
  return absl::OkStatus();
}

}  // namespace quantd
