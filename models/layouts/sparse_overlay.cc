#include "models/layouts/sparse_overlay.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "models/layouts/stored_parts.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"

namespace quantd {
namespace {

constexpr const char* kWholeColumns = "whole_columns";

// Whether every row has the columns of the first.
bool HasWholeColumns(const SparseEntries& entries) {
  const size_t k = static_cast<size_t>(entries.row_starts[1]);
  for (size_t r = 0; r + 1 < entries.row_starts.size(); ++r) {
    if (static_cast<size_t>(entries.row_starts[r + 1]) != k * (r + 1)) {
      return false;
    }
  }
  for (size_t i = k; i < entries.columns.size(); ++i) {
    if (entries.columns[i] != entries.columns[i - k]) return false;
  }
  return true;
}

class SparseOverlayLinear final : public CompressedLinear {
 public:
  SparseOverlayLinear(std::shared_ptr<const CompressedLinear> base,
                      SparseEntries entries)
      : base_(std::move(base)),
        entries_(std::move(entries)),
        whole_columns_(HasWholeColumns(entries_)) {}

  absl::string_view layout() const override { return kSparseOverlayLayout; }
  int64_t rows() const override { return base_->rows(); }
  int64_t cols() const override { return base_->cols(); }
  const CompressedLinear* base() const override { return base_.get(); }

  uint64_t stored_bits() const override {
    const int64_t n = static_cast<int64_t>(entries_.columns.size());
    return base_->stored_bits() +
           8 * (whole_columns_ ? WholeColumnBytes(rows(), cols(), n / rows())
                               : SparseOverlayBytes(rows(), cols(), n));
  }

  Tensor Decode(ExecutionContext& ctx) const override {
    Tensor out = base_->Decode(ctx);
    for (int64_t r = 0; r < rows(); ++r) {
      float* row = out.row(r);
      const size_t end = Start(r + 1);
      for (size_t i = Start(r); i < end; ++i) {
        row[entries_.columns[i]] = entries_.values[i];
      }
    }
    return out;
  }

  // The entries stay as they are.
  std::unique_ptr<TunableLinear> Tunable() const override {
    auto places = std::make_shared<std::vector<uint64_t>>();
    for (int64_t r = 0; r < rows(); ++r) {
      for (size_t i = Start(r); i < Start(r + 1); ++i) {
        places->push_back(
            static_cast<uint64_t>(r * cols() + entries_.columns[i]));
      }
    }
    const Tensor values = Tensor::FromValues(
        {static_cast<int64_t>(entries_.values.size())}, entries_.values);
    return WrapTunable(
        base_->Tunable(),
        [places =
             std::shared_ptr<const std::vector<uint64_t>>(std::move(places)),
         values](const Tensor& w, ExecutionContext& ctx) {
          return ops::ReplaceValues(w, values, places, ctx);
        },
        [entries = entries_](std::shared_ptr<const CompressedLinear> base) {
          return NewSparseOverlay(std::move(base), entries);
        });
  }

  nlohmann::json Save(absl::string_view layer,
                      std::vector<TensorToWrite>* tensors) const override {
    nlohmann::json base = base_->Save(layer, tensors);
    const int64_t n = static_cast<int64_t>(entries_.columns.size());
    const int64_t k = whole_columns_ ? n / rows() : n;
    if (!whole_columns_) {
      const std::vector<int32_t>& starts = entries_.row_starts;
      tensors->push_back(
          {absl::StrCat(layer, ".outlier_row_starts"),
           DType::kI32,
           {rows() + 1},
           std::string(reinterpret_cast<const char*>(starts.data()),
                       starts.size() * sizeof(int32_t))});
    }
    const DType type = ColumnType(cols());
    const size_t width = DTypeSize(type);
    std::string columns(static_cast<size_t>(k) * width, '\0');
    for (size_t i = 0; i < static_cast<size_t>(k); ++i) {
      const uint32_t column = static_cast<uint32_t>(entries_.columns[i]);
      std::memcpy(columns.data() + i * width, &column, width);
    }
    tensors->push_back({absl::StrCat(layer, ".outlier_columns"),
                        type,
                        {k},
                        std::move(columns)});
    tensors->push_back(F16Tensor(absl::StrCat(layer, ".outlier_values"),
                                 whole_columns_ ? Shape{rows(), k} : Shape{n},
                                 entries_.values));
    return {{"layout", std::string(kSparseOverlayLayout)},
            {"base", std::move(base)},
            {kWholeColumns, whole_columns_}};
  }

 private:
  size_t Start(int64_t row) const {
    return static_cast<size_t>(entries_.row_starts[static_cast<size_t>(row)]);
  }

  const std::shared_ptr<const CompressedLinear> base_;
  const SparseEntries entries_;
  const bool whole_columns_;
};

absl::Status CheckEntries(const SparseEntries& entries, int64_t rows,
                          int64_t cols) {
  const std::vector<int32_t>& starts = entries.row_starts;
  if (starts.size() != static_cast<size_t>(rows + 1) ||
      entries.columns.size() != entries.values.size() ||
      entries.columns.size() >
          static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    return absl::InvalidArgumentError(
        absl::StrCat("sparse entries: ", starts.size(), " row starts, ",
                     entries.columns.size(), " columns and ",
                     entries.values.size(), " values for ", rows, " rows"));
  }
  if (starts.front() != 0 ||
      static_cast<size_t>(starts.back()) != entries.columns.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "outlier_row_starts run from ", starts.front(), " to ", starts.back(),
        ", not from 0 to ", entries.columns.size()));
  }
  for (size_t r = 0; r + 1 < starts.size(); ++r) {
    // Increasing and ending at the count, so none is out of range.
    if (starts[r + 1] < starts[r]) {
      return absl::InvalidArgumentError(
          absl::StrCat("outlier_row_starts decrease after row ", r));
    }
  }
  for (size_t r = 0; r + 1 < starts.size(); ++r) {
    int64_t previous = -1;
    for (int32_t i = starts[r]; i < starts[r + 1]; ++i) {
      const int64_t column = entries.columns[static_cast<size_t>(i)];
      if (column <= previous || column >= cols) {
        return absl::InvalidArgumentError(
            absl::StrCat("outlier_columns: ", column, " in row ", r,
                         " is not in ", previous + 1, "..", cols - 1));
      }
      previous = column;
    }
  }
  return CheckF16(entries.values, "outlier value");
}

// Columns of U16 or U32.
absl::StatusOr<std::vector<int32_t>> ColumnsPart(TensorFinder find,
                                                 absl::string_view layer,
                                                 int64_t count, int64_t cols) {
  const DType type = ColumnType(cols);
  ASSIGN_OR_RETURN(const absl::string_view bytes,
                   PartBytes(find, layer, "outlier_columns", type, {count}));
  const size_t width = DTypeSize(type);
  std::vector<int32_t> columns(static_cast<size_t>(count));
  for (size_t i = 0; i < columns.size(); ++i) {
    uint32_t column = 0;
    std::memcpy(&column, bytes.data() + i * width, width);
    // One that does not fit turns negative and is refused as out of range.
    columns[i] = static_cast<int32_t>(column);
  }
  return columns;
}

// How many elements the part has; its rank is checked where it is read.
absl::StatusOr<int64_t> ColumnCount(TensorFinder find,
                                    absl::string_view layer) {
  ASSIGN_OR_RETURN(const StoredTensor* tensor,
                   find(absl::StrCat(layer, ".outlier_columns")));
  return ElementCount(tensor->shape);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const CompressedLinear>> NewSparseOverlay(
    std::shared_ptr<const CompressedLinear> base, SparseEntries entries) {
  RETURN_IF_ERROR(CheckBase(base.get(), kSparseOverlayLayout));
  RETURN_IF_ERROR(CheckEntries(entries, base->rows(), base->cols()));
  if (entries.columns.empty()) return base;
  return std::shared_ptr<const CompressedLinear>(
      std::make_shared<SparseOverlayLinear>(std::move(base),
                                            std::move(entries)));
}

uint64_t SparseOverlayBytes(int64_t rows, int64_t cols, int64_t entries) {
  if (entries == 0) return 0;
  // All entries of a single row are whole columns.
  if (rows == 1) return WholeColumnBytes(rows, cols, entries);
  return static_cast<uint64_t>(rows + 1) * sizeof(int32_t) +
         static_cast<uint64_t>(entries) * (DTypeSize(ColumnType(cols)) + 2);
}

uint64_t WholeColumnBytes(int64_t rows, int64_t cols, int64_t columns) {
  return static_cast<uint64_t>(columns) *
         (DTypeSize(ColumnType(cols)) + 2 * static_cast<uint64_t>(rows));
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadSparseOverlay(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  ASSIGN_OR_RETURN(auto base, LoadBase(find, layer, header, rows, cols));
  ASSIGN_OR_RETURN(const bool whole_columns, HeaderBool(header, kWholeColumns));
  ASSIGN_OR_RETURN(const int64_t count, ColumnCount(find, layer));
  ASSIGN_OR_RETURN(const std::vector<int32_t> columns,
                   ColumnsPart(find, layer, count, cols));
  SparseEntries entries;
  if (whole_columns) {
    ASSIGN_OR_RETURN(entries.values,
                     F16Part(find, layer, "outlier_values", {rows, count}));
    for (int64_t r = 0; r <= rows; ++r) {
      entries.row_starts.push_back(static_cast<int32_t>(r * count));
      if (r == rows) break;
      entries.columns.insert(entries.columns.end(), columns.begin(),
                             columns.end());
    }
  } else {
    entries.columns = columns;
    ASSIGN_OR_RETURN(entries.values,
                     F16Part(find, layer, "outlier_values", {count}));
    ASSIGN_OR_RETURN(
        const absl::string_view starts,
        PartBytes(find, layer, "outlier_row_starts", DType::kI32, {rows + 1}));
    entries.row_starts.resize(static_cast<size_t>(rows + 1));
    std::memcpy(entries.row_starts.data(), starts.data(), starts.size());
  }
  return NewSparseOverlay(std::move(base), std::move(entries));
}

}  // namespace quantd
