// Improves the codebooks of a layer by what the solver made of it.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/status_macros.h"
#include "kernels/device.h"
#include "quantizers/grids/vector_codebook.h"
#include "quantizers/second_moment.h"
#include "tensor/tensor.h"

namespace quantd {

absl::StatusOr<bool> VectorCodebookLayerGrid::Refine(
    const LayerView<float>& layer, ExecutionContext& ctx) {
  if (!residual_refined_) {
    residual_refined_ = true;
    bool any = false;
    for (Group& group : groups_) {
      if (group.residual.empty()) continue;
      any = true;
      std::vector<int32_t> assignment;
      RETURN_IF_ERROR(FitCodebook(group.residual, VectorWeights(group, layer),
                                  group.vector_length, &group.codebooks[1],
                                  &assignment, ctx));
      group.residual = {};
    }
    if (any) return true;
  }
  if (layer.second_moment == nullptr || options_.refits == 0) return false;
  RETURN_IF_ERROR(Refit(layer, ctx));
  ++refits_done_;
  // After the last, the codes stay: their error can only have fallen.
  return refits_done_ < options_.refits;
}

// Minimises tr(D H D^T), D = W - What(entries), by conjugate gradients with
// the diagonal as preconditioner: linear in the entries, and each step is one
// product with H, however codebooks, groups and scales are arranged.
absl::Status VectorCodebookLayerGrid::Refit(const LayerView<float>& layer,
                                            ExecutionContext& ctx) {
  const Tensor h = ToFloat(*layer.second_moment);
  std::vector<Codebook*> books;
  size_t unknowns = 0;
  for (Group& group : groups_) {
    for (Codebook& codebook : group.codebooks) {
      books.push_back(&codebook);
      unknowns += codebook.entries.size();
    }
  }
  // Visits every weight with the positions of its entries among the unknowns.
  const auto visit = [&](auto&& body) {
    size_t base = 0;
    for (const Group& group : groups_) {
      const int64_t v = group.vector_length;
      const int64_t columns = static_cast<int64_t>(group.columns.size());
      for (const Codebook& codebook : group.codebooks) {
        ForVectorBlocks(rows_, v, [&](int64_t d, int64_t begin, int64_t end) {
          for (int64_t i = 0; i < columns; ++i) {
            const size_t entry =
                base +
                static_cast<size_t>(
                    codebook.codes[static_cast<size_t>(d * columns + i)] * v);
            for (int64_t r = begin; r < end; ++r) {
              const int64_t weight =
                  r * cols_ + group.columns[static_cast<size_t>(i)];
              if (Excluded(weight)) continue;
              body(weight, row_scales_[static_cast<size_t>(r)],
                   entry + static_cast<size_t>(r - begin));
            }
          }
        });
        base += codebook.entries.size();
      }
    }
  };
  Tensor matrix = Tensor::Uninitialized({rows_, cols_});
  Tensor product = Tensor::Uninitialized({rows_, cols_});
  const auto decode = [&](const std::vector<double>& entries) {
    std::fill(matrix.values().begin(), matrix.values().end(), 0.0f);
    visit([&](int64_t weight, float scale, size_t entry) {
      matrix.data()[weight] += scale * static_cast<float>(entries[entry]);
    });
  };
  // A^T (matrix H), and leaves matrix H in `product`.
  const auto gather = [&](std::vector<double>* sums) {
    GemmArgs args;
    args.m = rows_;
    args.n = cols_;
    args.k = cols_;
    args.a = matrix.data();
    args.lda = cols_;
    args.b = h.data();
    args.ldb = cols_;
    args.c = product.data();
    args.ldc = cols_;
    ctx.device().Gemm(args);
    sums->assign(unknowns, 0.0);
    visit([&](int64_t weight, float scale, size_t entry) {
      (*sums)[entry] += static_cast<double>(scale * product.data()[weight]);
    });
  };
  const auto current = [&] {
    std::vector<double> entries;
    for (const Codebook* codebook : books) {
      entries.insert(entries.end(), codebook->entries.begin(),
                     codebook->entries.end());
    }
    return entries;
  };
  // The error of `entries`; `sums` becomes A^T D H, the way down.
  const auto error = [&](const std::vector<double>& entries,
                         std::vector<double>* sums) {
    decode(entries);
    for (int64_t i = 0; i < matrix.size(); ++i) {
      matrix.data()[i] =
          Excluded(i) ? 0.0f : layer.weights[i] - matrix.data()[i];
    }
    gather(sums);
    double form = 0;
    for (int64_t i = 0; i < matrix.size(); ++i) {
      form += static_cast<double>(matrix.data()[i]) *
              static_cast<double>(product.data()[i]);
    }
    return form;
  };
  const auto assign = [&](const std::vector<double>& entries) {
    size_t at = 0;
    for (Group& group : groups_) {
      for (Codebook& codebook : group.codebooks) {
        for (float& entry : codebook.entries) {
          entry = static_cast<float>(entries[at++]);
        }
        Store(&codebook, group.vector_length);
      }
    }
  };
  const auto dot = [](const std::vector<double>& a,
                      const std::vector<double>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  };

  std::vector<double> diagonal(unknowns, 0.0);
  visit([&](int64_t weight, float scale, size_t entry) {
    const int64_t c = weight % cols_;
    diagonal[entry] += static_cast<double>(scale) * static_cast<double>(scale) *
                       layer.second_moment->at(c, c);
  });
  const std::vector<double> before = current();
  std::vector<double> entries = before, residual, step, image;
  const double error_before = error(entries, &residual);
  const auto precondition = [&](const std::vector<double>& r) {
    std::vector<double> z(r.size());
    // Entries that no vector chose stay where they are.
    for (size_t i = 0; i < r.size(); ++i) {
      z[i] = diagonal[i] > 0 ? r[i] / diagonal[i] : 0.0;
    }
    return z;
  };
  std::vector<double> z = precondition(residual);
  step = z;
  double fit = dot(residual, z);
  for (int i = 0; i < kVectorCodebookRefitSteps && fit > 0; ++i) {
    RETURN_IF_ERROR(ctx.CheckCancelled());
    decode(step);
    gather(&image);
    const double curvature = dot(step, image);
    if (!(curvature > 0)) break;
    const double length = fit / curvature;
    for (size_t j = 0; j < unknowns; ++j) {
      entries[j] += length * step[j];
      residual[j] -= length * image[j];
    }
    z = precondition(residual);
    const double next = dot(residual, z);
    for (size_t j = 0; j < unknowns; ++j) {
      step[j] = z[j] + next / fit * step[j];
    }
    fit = next;
  }
  assign(entries);
  // Rounding to what is stored can cost more than a small step gained.
  if (!(error(current(), &residual) < error_before)) assign(before);
  return absl::OkStatus();
}

void VectorCodebookLayerGrid::UpdateValues(float* values) const {
  for (const Group& group : groups_) {
    const int64_t v = group.vector_length;
    const int64_t columns = static_cast<int64_t>(group.columns.size());
    ForVectorBlocks(rows_, v, [&](int64_t d, int64_t begin, int64_t end) {
      for (int64_t i = 0; i < columns; ++i) {
        const size_t at = static_cast<size_t>(d * columns + i);
        for (int64_t r = begin; r < end; ++r) {
          float sum = 0;
          for (const Codebook& codebook : group.codebooks) {
            sum += codebook.entries[static_cast<size_t>(codebook.codes[at] * v +
                                                        r - begin)];
          }
          values[r * cols_ + group.columns[static_cast<size_t>(i)]] =
              row_scales_[static_cast<size_t>(r)] * sum;
        }
      }
    });
  }
}

}  // namespace quantd
