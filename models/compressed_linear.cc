#include "models/compressed_linear.h"

#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "models/layouts/dual_binary.h"
#include "models/layouts/fp6_split.h"
#include "models/layouts/grouped_codebook.h"
#include "models/layouts/input_rotation.h"
#include "models/layouts/input_scale.h"
#include "models/layouts/lookup_table.h"
#include "models/layouts/low_rank_sum.h"
#include "models/layouts/mixed_int.h"
#include "models/layouts/packed_affine.h"
#include "models/layouts/packed_int.h"
#include "models/layouts/partially_binary.h"
#include "models/layouts/row_codebook.h"
#include "models/layouts/sparse_overlay.h"
#include "models/layouts/vector_codebook.h"
#include "models/tunable_linear.h"
#include "nlohmann/json.hpp"
#include "tensor/ops.h"

namespace quantd {
namespace {

struct LayoutRow {
  absl::string_view name;
  absl::StatusOr<std::shared_ptr<const CompressedLinear>> (*load)(
      TensorFinder find, absl::string_view layer, const nlohmann::json& header,
      int64_t rows, int64_t cols);
};

constexpr LayoutRow kLayouts[] = {
    {kDualBinaryLayout, LoadDualBinary},
    {kFp6SplitLayout, LoadFp6Split},
    {kLookupTableLayout, LoadLookupTable},
    {kPackedAffineLayout, LoadPackedAffine},
    {kPackedIntLayout, LoadPackedInt},
    {kMixedIntLayout, LoadMixedInt},
    {kPartiallyBinaryLayout, LoadPartiallyBinary},
    {kSparseOverlayLayout, LoadSparseOverlay},
    {kLowRankSumLayout, LoadLowRankSum},
    {kInputScaleLayout, LoadInputScale},
    {kInputRotationLayout, LoadInputRotation},
    {kRowCodebookLayout, LoadRowCodebook},
    {kGroupedCodebookLayout, LoadGroupedCodebook},
    {kVectorCodebookLayout, LoadVectorCodebook},
};

// Layouts that wrap another are loaded by recursion. A layout can occur once in
// a layer, so no honest header is deeper than this.
constexpr int kMaxNesting = 8;

absl::Status CheckNesting(const nlohmann::json& header) {
  const nlohmann::json* level = &header;
  for (int depth = 0; depth < kMaxNesting; ++depth) {
    const auto base = level->find("base");
    if (base == level->end()) return absl::OkStatus();
    level = &*base;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("more than ", kMaxNesting, " layouts inside each other"));
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadLayout(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  const auto layout = header.find("layout");
  if (layout == header.end() || !layout->is_string()) {
    return absl::InvalidArgumentError("its header names no layout");
  }
  const std::string& name = layout->get_ref<const std::string&>();
  for (const LayoutRow& row : kLayouts) {
    if (row.name == name) return row.load(find, layer, header, rows, cols);
  }
  return absl::UnimplementedError(
      absl::StrCat("layout \"", name, "\" is not one of ",
                   absl::StrJoin(KnownLayouts(), ", ")));
}

}  // namespace

std::unique_ptr<TunableLinear> CompressedLinear::Tunable() const {
  return nullptr;
}

Tensor CompressedLinear::Multiply(const Tensor& x,
                                  ExecutionContext& ctx) const {
  return ops::LinearProduct(x, Decode(ctx), ctx);
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadCompressedLinear(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  RETURN_IF_ERROR(Annotate(CheckNesting(header), "layer ", layer));
  return Annotate(LoadLayout(find, layer, header, rows, cols), "layer ", layer);
}

absl::StatusOr<std::shared_ptr<const CompressedLinear>> LoadBase(
    TensorFinder find, absl::string_view layer, const nlohmann::json& header,
    int64_t rows, int64_t cols) {
  const auto base = header.find("base");
  if (base == header.end() || !base->is_object()) {
    return absl::InvalidArgumentError("header: base is not an object");
  }
  return LoadLayout(find, layer, *base, rows, cols);
}

std::vector<absl::string_view> KnownLayouts() {
  std::vector<absl::string_view> names;
  for (const LayoutRow& row : kLayouts) names.push_back(row.name);
  return names;
}

}  // namespace quantd
