#include "quantizers/factored_codebook.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "kernels/device.h"
#include "models/layouts/vector_codebook.h"
#include "quantizers/thin_svd.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

constexpr double kLeastSingularValue = 0.02;  // of the greatest

class FactoredCodebook final : public TunableLinear {
 public:
  FactoredCodebook(std::unique_ptr<TunableLinear> base, Tensor c,
                   Tensor transposed_p)
      : base_(std::move(base)),
        c_(std::move(c)),
        transposed_p_(std::move(transposed_p)) {}

  std::vector<Tensor> Parameters() const override {
    std::vector<Tensor> p = base_->Parameters();
    p[0] = c_.Clone();
    p.insert(p.begin() + 1, transposed_p_.Clone());
    return p;
  }

  Tensor Weight(absl::Span<const Tensor> parameters,
                ExecutionContext& ctx) const override {
    return base_->Weight(Folded(parameters, ctx), ctx);
  }

  absl::StatusOr<std::shared_ptr<const CompressedLinear>> Freeze(
      absl::Span<const Tensor> parameters,
      ExecutionContext& ctx) const override {
    return base_->Freeze(Folded(parameters, ctx), ctx);
  }

 private:
  // The parameters of the layout.
  static std::vector<Tensor> Folded(absl::Span<const Tensor> parameters,
                                    ExecutionContext& ctx) {
    std::vector<Tensor> p = {
        ops::LinearProduct(parameters[0], parameters[1], ctx)};
    p.insert(p.end(), parameters.begin() + 2, parameters.end());
    return p;
  }

  const std::unique_ptr<TunableLinear> base_;
  const Tensor c_;             // [k, rank]
  const Tensor transposed_p_;  // [v, rank]
};

}  // namespace

absl::StatusOr<std::unique_ptr<TunableLinear>> NewFactoredCodebook(
    const CompressedLinear& start, const Tensor& /*original*/,
    const LearnedOptions& /*options*/) {
  const std::optional<VectorCodebookWeights> w = UnpackVectorCodebook(start);
  if (!w.has_value() || w->groups.size() != 1 ||
      w->groups[0].codebooks.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "FACTORS needs layout ", kVectorCodebookLayout,
        " with one codebook, not ",
        w.has_value() ? "several" : absl::StrCat("layout ", start.layout())));
  }
  const CodebookGroup& group = w->groups[0];
  const std::vector<float>& entries = group.codebooks[0].entries;
  const int64_t v = group.vector_rows * group.vector_cols;
  const int64_t k = static_cast<int64_t>(entries.size()) / v;
  const std::unique_ptr<Device> device = NewCpuDevice(1);
  ExecutionContext ctx(device.get());
  ASSIGN_OR_RETURN(const ThinSvd svd,
                   LeadingSvd(Tensor::FromValues({k, v}, entries),
                              std::min(k, v), ThinSvdOptions(), ctx));
  int64_t rank = 1;
  while (rank < svd.rank && svd.singular_values[static_cast<size_t>(rank)] >
                                kLeastSingularValue * svd.singular_values[0]) {
    ++rank;
  }
  Tensor c = Tensor::Uninitialized({k, rank});
  Tensor transposed_p = Tensor::Uninitialized({v, rank});
  for (int64_t d = 0; d < rank; ++d) {
    // Half of the singular value on either side: equal rates suit both.
    const double root = std::sqrt(svd.singular_values[static_cast<size_t>(d)]);
    for (int64_t j = 0; j < k; ++j) {
      c.row(j)[d] = static_cast<float>(
          root * svd.left[static_cast<size_t>(j * svd.rank + d)]);
    }
    for (int64_t t = 0; t < v; ++t) {
      transposed_p.row(t)[d] =
          static_cast<float>(root * svd.right[static_cast<size_t>(d * v + t)]);
    }
  }
  return std::make_unique<FactoredCodebook>(start.Tunable(), std::move(c),
                                            std::move(transposed_p));
}

}  // namespace quantd
