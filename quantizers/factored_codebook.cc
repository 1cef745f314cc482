#include "quantizers/factored_codebook.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/device.h"
#include "models/layouts/vector_codebook.h"
#include "quantizers/thin_svd.h"
#include "tensor/ops.h"

namespace quantd {
namespace {

constexpr double kLeastSingularValue = 0.02;  // of the greatest

// A codebook [k, v] = C P; P is kept transposed.
struct Factors {
  Tensor c;             // [k, rank]
  Tensor transposed_p;  // [v, rank]
};

Factors FactorsOf(const Tensor& codebook) {
  const std::unique_ptr<Device> device = NewCpuDevice(1);
  ExecutionContext ctx(device.get());
  const int64_t k = codebook.rows();
  const int64_t v = codebook.cols();
  // Stored values are finite, and nobody cancels this context.
  const ThinSvd svd =
      *LeadingSvd(codebook, std::min(k, v), ThinSvdOptions(), ctx);
  int64_t rank = 1;
  while (rank < svd.rank && svd.singular_values[static_cast<size_t>(rank)] >
                                kLeastSingularValue * svd.singular_values[0]) {
    ++rank;
  }
  Factors factors = {Tensor::Uninitialized({k, rank}),
                     Tensor::Uninitialized({v, rank})};
  for (int64_t d = 0; d < rank; ++d) {
    // Half of the singular value on either side: equal rates suit both.
    const double root = std::sqrt(svd.singular_values[static_cast<size_t>(d)]);
    for (int64_t j = 0; j < k; ++j) {
      factors.c.row(j)[d] = static_cast<float>(
          root * svd.left[static_cast<size_t>(j * svd.rank + d)]);
    }
    for (int64_t t = 0; t < v; ++t) {
      factors.transposed_p.row(t)[d] =
          static_cast<float>(root * svd.right[static_cast<size_t>(d * v + t)]);
    }
  }
  return factors;
}

class FactoredCodebook final : public TunableLinear {
 public:
  // `codebook` [k, v] is that of `base`.
  FactoredCodebook(std::unique_ptr<TunableLinear> base, Tensor codebook)
      : base_(std::move(base)), codebook_(std::move(codebook)) {}

  std::vector<Tensor> Parameters() const override {
    // Here and not when the object is made, which is for every pass over the
    // block.
    Factors factors = FactorsOf(codebook_);
    std::vector<Tensor> p = base_->Parameters();
    p[0] = std::move(factors.c);
    p.insert(p.begin() + 1, std::move(factors.transposed_p));
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
  const Tensor codebook_;
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
  return std::make_unique<FactoredCodebook>(
      start.Tunable(), Tensor::FromValues({k, v}, entries));
}

}  // namespace quantd
