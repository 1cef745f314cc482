#include "models/network/embedding.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/network/norm.h"
#include "models/network/tensor_loader.h"
#include "models/tensor_conversion.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

// A stored matrix of which single rows are read.
class RowReader {
 public:
  static absl::StatusOr<RowReader> Open(const Checkpoint& checkpoint,
                                        const std::string& name) {
    ASSIGN_OR_RETURN(const StoredTensor* tensor,
                     checkpoint.Find(StoredName(checkpoint, name)));
    return RowReader(tensor);
  }

  absl::Status Read(int64_t row, absl::Span<float> out) const {
    return ConvertToFloat(
        *tensor_,
        static_cast<size_t>(row) * out.size() * DTypeSize(tensor_->dtype), out);
  }

 private:
  explicit RowReader(const StoredTensor* tensor) : tensor_(tensor) {}
  const StoredTensor* tensor_;
};

absl::Status AddPositions(const Checkpoint& checkpoint,
                          const EmbeddingDescription& d,
                          const SequenceBatch& batch, Tensor* hidden) {
  ASSIGN_OR_RETURN(const RowReader table,
                   RowReader::Open(checkpoint, d.positions + ".weight"));
  std::vector<float> row(static_cast<size_t>(hidden->cols()));
  for (int64_t r = 0; r < hidden->rows(); ++r) {
    const int64_t position =
        int64_t{batch.positions()[static_cast<size_t>(r)]} + d.position_offset;
    if (position >= d.position_rows) {
      return absl::OutOfRangeError(
          absl::StrCat("the model has learned positions for sequences of ",
                       d.position_rows - d.position_offset,
                       " tokens, this one has ", batch.longest()));
    }
    RETURN_IF_ERROR(table.Read(position, absl::MakeSpan(row)));
    for (size_t c = 0; c < row.size(); ++c) hidden->row(r)[c] += row[c];
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Tensor> EmbedTokens(const Checkpoint& checkpoint,
                                   const ModelDescription& description,
                                   absl::Span<const int32_t> tokens,
                                   const SequenceBatch& batch,
                                   ExecutionContext& ctx) {
  const EmbeddingDescription& d = description.embedding;
  ASSIGN_OR_RETURN(const RowReader table,
                   RowReader::Open(checkpoint, d.tokens + ".weight"));
  Tensor hidden =
      Tensor::Uninitialized({static_cast<int64_t>(tokens.size()), d.width});
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= description.vocabulary_size) {
      return absl::OutOfRangeError(absl::StrCat("token id ", tokens[i],
                                                " is not in a vocabulary of ",
                                                description.vocabulary_size));
    }
    RETURN_IF_ERROR(table.Read(
        tokens[i], absl::MakeSpan(hidden.row(static_cast<int64_t>(i)),
                                  static_cast<size_t>(d.width))));
  }
  if (d.scale != 1.0f) hidden = ops::Scale(hidden, d.scale);
  if (d.projection.present()) {
    ASSIGN_OR_RETURN(const Linear projection,
                     LoadOuterLinear(checkpoint, d.projection,
                                     description.hidden_size, d.width, ctx));
    hidden = projection.Forward(hidden, ctx);
  }
  if (!d.positions.empty()) {
    RETURN_IF_ERROR(AddPositions(checkpoint, d, batch, &hidden));
  }
  if (!d.token_types.empty()) {
    ASSIGN_OR_RETURN(const RowReader types,
                     RowReader::Open(checkpoint, d.token_types + ".weight"));
    Tensor row = Tensor::Uninitialized({hidden.cols()});
    RETURN_IF_ERROR(types.Read(0, row.values()));
    hidden = ops::AddBias(hidden, row, ctx);
  }
  if (d.norm.present()) {
    ASSIGN_OR_RETURN(const Norm norm, Norm::Load(checkpoint, d.norm, "",
                                                 description.hidden_size));
    hidden = norm.Apply(hidden, ctx);
  }
  return hidden;
}

}  // namespace quantd
