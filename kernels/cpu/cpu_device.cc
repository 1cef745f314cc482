#include <algorithm>
#include <memory>
#include <vector>

#include "base/large_array.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/backward_kernels.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/nearest_centroid.h"
#include "kernels/cpu/row_kernels.h"
#include "kernels/cpu/state_space.h"
#include "kernels/device.h"
#include "kernels/reference/backward_kernels.h"
#include "kernels/reference/reference_kernels.h"

namespace quantd {
namespace {

// Elements per piece of a flat loop, rows per piece of a row loop: fixed, so
// that the partition never depends on the number of threads.
constexpr int64_t kPieceElements = int64_t{1} << 16;

int64_t RowsPerPiece(int64_t cols) {
  return std::max<int64_t>(1, kPieceElements / std::max<int64_t>(1, cols));
}

// Calls body(begin, count) over [0, total) in pieces of `piece`.
template <typename Body>
void ForPieces(ThreadPool& pool, int64_t total, int64_t piece,
               const Body& body) {
  pool.ParallelFor((total + piece - 1) / piece, [&](int64_t index) {
    const int64_t begin = index * piece;
    body(begin, std::min(piece, total - begin));
  });
}

class CpuDevice final : public Device {
 public:
  explicit CpuDevice(int threads) : pool_(threads) {}

  absl::string_view name() const override { return "cpu"; }
  std::string gemm_name(const GemmArgs& args) const override {
    return cpu::ChooseGemm(args).name;
  }
  ThreadPool& pool() override { return pool_; }

  void Gemm(const GemmArgs& args) override { cpu::ParallelGemm(args, pool_); }

  void AccumulateGram(const float* x, int64_t rows, int64_t cols,
                      double* gram) override {
    // Whole pieces of Gemm(), so that the cut changes no bit.
    const int64_t slice = std::max<int64_t>(
        cpu::kGemmPieceRows,
        kGramScratch / cols / cpu::kGemmPieceRows * cpu::kGemmPieceRows);
    // Not kept: between calls the memory serves others.
    const LargeArray<float> product =
        NewLargeArray<float>(static_cast<size_t>(std::min(slice, cols) * cols));
    for (int64_t begin = 0; begin < rows; begin += kGramRows) {
      for (int64_t first_row = 0; first_row < cols; first_row += slice) {
        GemmArgs args;
        args.transpose_a = Transpose::kYes;
        args.m = std::min(slice, cols - first_row);
        args.n = cols;
        args.k = std::min(kGramRows, rows - begin);
        args.a = x + begin * cols + first_row;
        args.lda = cols;
        args.b = x + begin * cols;
        args.ldb = cols;
        args.c = product.get();
        args.ldc = cols;
        Gemm(args);
        double* target = gram + first_row * cols;
        ForPieces(pool_, args.m * cols, kPieceElements,
                  [&](int64_t first, int64_t count) {
                    for (int64_t i = first; i < first + count; ++i) {
                      target[i] += product[static_cast<size_t>(i)];
                    }
                  });
      }
    }
  }

  void RmsNorm(const float* x, const float* weight, float eps, int64_t rows,
               int64_t cols, float* y) override {
    ForPieces(pool_, rows, RowsPerPiece(cols),
              [&](int64_t begin, int64_t count) {
                cpu::RmsNormRows(x + begin * cols, weight, eps, count, cols,
                                 y + begin * cols);
              });
  }

  void LayerNorm(const float* x, const float* weight, const float* bias,
                 float eps, int64_t rows, int64_t cols, float* y) override {
    ForPieces(pool_, rows, RowsPerPiece(cols),
              [&](int64_t begin, int64_t count) {
                cpu::LayerNormRows(x + begin * cols, weight, bias, eps, count,
                                   cols, y + begin * cols);
              });
  }

  void Rotary(const RotaryArgs& args) override {
    const int64_t cols = args.heads * args.head_dim;
    ForPieces(pool_, args.rows, RowsPerPiece(cols),
              [&](int64_t begin, int64_t count) {
                RotaryArgs part = args;
                part.x += begin * cols;
                part.rows = count;
                part.positions += begin;
                cpu::RotaryRows(part);
              });
  }

  void Attention(const AttentionArgs& args) override {
    cpu::Attention(args, pool_);
  }

  void Activate(Activation activation, const float* x, int64_t count,
                float* y) override {
    ForPieces(pool_, count, kPieceElements, [&](int64_t begin, int64_t n) {
      cpu::ActivateRange(activation, x + begin, n, y + begin);
    });
  }

  void ActivateMul(Activation activation, const float* gate, const float* up,
                   int64_t count, float* y) override {
    ForPieces(pool_, count, kPieceElements, [&](int64_t begin, int64_t n) {
      cpu::ActivateMulRange(activation, gate + begin, up + begin, n, y + begin);
    });
  }

  void Softcap(float cap, int64_t count, float* x) override {
    ForPieces(pool_, count, kPieceElements, [&](int64_t begin, int64_t n) {
      cpu::SoftcapRange(1.0f, cap, n, x + begin);
    });
  }

  void CausalConv(const CausalConvArgs& args) override {
    reference::CausalConv(args);
  }

  void SelectiveScan(const SelectiveScanArgs& args) override {
    cpu::SelectiveScan(args, pool_);
  }

  void Add(const float* x, int64_t count, float* y) override {
    ForPieces(pool_, count, kPieceElements, [&](int64_t begin, int64_t n) {
      cpu::AddRange(x + begin, n, y + begin);
    });
  }

  void AddBias(const float* bias, int64_t rows, int64_t cols,
               float* y) override {
    ForPieces(pool_, rows, RowsPerPiece(cols),
              [&](int64_t begin, int64_t count) {
                for (int64_t r = begin; r < begin + count; ++r) {
                  cpu::AddRange(bias, cols, y + r * cols);
                }
              });
  }

  void NegativeLogLikelihood(const float* logits, const int32_t* targets,
                             int64_t rows, int64_t cols, double* nll) override {
    ForPieces(pool_, rows, RowsPerPiece(cols),
              [&](int64_t begin, int64_t count) {
                for (int64_t r = begin; r < begin + count; ++r) {
                  const float* row = logits + r * cols;
                  nll[r] = cpu::LogSumExpRow(row, cols) - row[targets[r]];
                }
              });
  }

  void DecodePackedInt(const PackedIntArgs& args) override {
    const int64_t row_bytes = (args.cols * args.bits + 7) / 8;
    ForPieces(pool_, args.rows, RowsPerPiece(args.cols),
              [&](int64_t begin, int64_t count) {
                PackedIntArgs part = args;
                part.rows = count;
                part.codes += begin * row_bytes;
                part.scales += begin * args.groups;
                part.zeros += begin * args.groups;
                part.out += begin * args.cols;
                reference::DecodePackedInt(part);
              });
  }

  void FindNearestCentroids(const NearestCentroidArgs& args) const override {
    cpu::FindNearestCentroids(args);
  }

  void RmsNormBackward(const NormBackwardArgs& args) override {
    NormBackward(args, /*centred=*/false);
  }

  void LayerNormBackward(const NormBackwardArgs& args) override {
    NormBackward(args, /*centred=*/true);
  }

  void AttentionBackward(const AttentionArgs& args,
                         const AttentionGradients* gradients) override {
    cpu::AttentionBackward(args, gradients, pool_);
  }

  void ActivateBackward(Activation activation, const float* x, const float* dy,
                        int64_t count, float* dx) override {
    ForPieces(pool_, count, kPieceElements, [&](int64_t begin, int64_t n) {
      cpu::ActivateBackwardRange(activation, x + begin, dy + begin, n,
                                 dx + begin);
    });
  }

  void SoftcapBackward(float cap, const float* y, const float* dy,
                       int64_t count, float* dx) override {
    ForPieces(pool_, count, kPieceElements, [&](int64_t begin, int64_t n) {
      cpu::SoftcapBackwardRange(cap, y + begin, dy + begin, n, dx + begin);
    });
  }

  void Multiply(const float* x, const float* y, int64_t count,
                float* z) override {
    ForPieces(pool_, count, kPieceElements, [&](int64_t begin, int64_t n) {
      cpu::MultiplyRange(x + begin, y + begin, n, z + begin);
    });
  }

  void SumRows(const float* x, int64_t rows, int64_t cols,
               double* sums) override {
    SumOverPieces(
        rows, RowsPerPiece(cols), cols,
        [&](int64_t begin, int64_t count, double* sum) {
          reference::SumRows(x + begin * cols, count, cols, sum);
        },
        sums);
  }

  void NegativeLogLikelihoodBackward(const float* logits,
                                     const int32_t* targets, const double* dnll,
                                     int64_t rows, int64_t cols,
                                     float* dlogits) override {
    ForPieces(pool_, rows, RowsPerPiece(cols),
              [&](int64_t begin, int64_t count) {
                for (int64_t r = begin; r < begin + count; ++r) {
                  float* row = dlogits + r * cols;
                  std::copy_n(logits + r * cols, cols, row);
                  cpu::SoftmaxRow(row, cols, 0, cols, 1.0f);
                  cpu::ScaleRange(static_cast<float>(dnll[r]), cols, row);
                  row[targets[r]] -= static_cast<float>(dnll[r]);
                }
              });
  }

  void KlDivergence(const float* teacher, const float* student,
                    float temperature, int64_t rows, int64_t cols,
                    double* kl) override {
    ForPieces(pool_, rows, RowsPerPiece(cols),
              [&](int64_t begin, int64_t count) {
                reference::KlDivergence(teacher + begin * cols,
                                        student + begin * cols, temperature,
                                        count, cols, kl + begin);
              });
  }

  void KlDivergenceBackward(const float* teacher, const float* student,
                            float temperature, const double* dkl, int64_t rows,
                            int64_t cols, float* dstudent) override {
    ForPieces(pool_, rows, RowsPerPiece(cols),
              [&](int64_t begin, int64_t count) {
                std::vector<float> p(static_cast<size_t>(cols));
                for (int64_t r = begin; r < begin + count; ++r) {
                  float* row = dstudent + r * cols;
                  const float factor = static_cast<float>(dkl[r]) / temperature;
                  std::copy_n(student + r * cols, cols, row);
                  std::copy_n(teacher + r * cols, cols, p.data());
                  cpu::SoftmaxRow(row, cols, 0, cols, 1 / temperature);
                  cpu::SoftmaxRow(p.data(), cols, 0, cols, 1 / temperature);
                  cpu::ScaleRange(factor, cols, row);
                  cpu::ScaleRange(-factor, cols, p.data());
                  cpu::AddRange(p.data(), cols, row);
                }
              });
  }

  void CausalConvBackward(const CausalConvBackwardArgs& args) override {
    reference::CausalConvBackward(args);
  }

  void SelectiveScanBackward(const SelectiveScanBackwardArgs& args) override {
    reference::SelectiveScanBackward(args);
  }

 private:
  // Adds to `sums` [width] what body(begin, count, part) adds to `part`, zeros
  // before, for every piece of the rows; in the order of the pieces.
  template <typename Body>
  void SumOverPieces(int64_t rows, int64_t piece, int64_t width,
                     const Body& body, double* sums) {
    const int64_t pieces = (rows + piece - 1) / piece;
    std::vector<double> parts(static_cast<size_t>(pieces * width), 0.0);
    ForPieces(pool_, rows, piece, [&](int64_t begin, int64_t count) {
      body(begin, count, parts.data() + begin / piece * width);
    });
    for (int64_t i = 0; i < pieces * width; ++i) {
      sums[i % width] += parts[static_cast<size_t>(i)];
    }
  }

  void NormBackward(const NormBackwardArgs& args, bool centred) {
    const int64_t cols = args.cols;
    // Those of the weight, then those of the bias.
    std::vector<double> sums(static_cast<size_t>(2 * cols), 0.0);
    SumOverPieces(
        args.rows, RowsPerPiece(cols), 2 * cols,
        [&](int64_t begin, int64_t count, double* sum) {
          NormBackwardArgs part = args;
          part.rows = count;
          part.x += begin * cols;
          part.dy += begin * cols;
          part.dx += begin * cols;
          if (args.dweight != nullptr) part.dweight = sum;
          if (args.dbias != nullptr) part.dbias = sum + cols;
          cpu::NormBackwardRows(part, centred);
        },
        sums.data());
    for (int64_t c = 0; c < cols; ++c) {
      const size_t i = static_cast<size_t>(c);
      if (args.dweight != nullptr) args.dweight[c] += sums[i];
      if (centred && args.dbias != nullptr) {
        args.dbias[c] += sums[i + static_cast<size_t>(cols)];
      }
    }
  }

  ThreadPool pool_;
};

}  // namespace

std::unique_ptr<Device> NewCpuDevice(int threads) {
  return std::make_unique<CpuDevice>(threads);
}

}  // namespace quantd
