#include "kernels/cpu/gemm.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/strict_gemm.h"
#include "kernels/float_formats.h"
#include "kernels/reference/reference_kernels.h"
#include "oneapi/dnnl/dnnl.hpp"

// From the OpenMP runtime that oneDNN brings along; declared here because
// clang has no omp.h for it.
extern "C" void omp_set_num_threads(int threads);

namespace quantd::cpu {
namespace {

// quantd partitions work itself; oneDNN's own threads would make the order of
// sums depend on their number. The setting is per calling thread.
void KeepOneDnnOnThisThread() {
  thread_local const bool once = [] {
    omp_set_num_threads(1);
    return true;
  }();
  (void)once;
}

char TransposeFlag(Transpose transpose) {
  return transpose == Transpose::kYes ? 'T' : 'N';
}

bool CanStrict(const GemmArgs& args) {
  return args.compute == ComputeType::kF32Strict && args.m > 0 && args.n > 0 &&
         args.k > 0;
}

bool CanOneDnnF32(const GemmArgs& args) {
  return args.m > 0 && args.n > 0 && args.k > 0;
}

void RunOneDnnF32(const GemmArgs& args) {
  KeepOneDnnOnThisThread();
  // The status can only be an argument error, and those are excluded by the
  // contract of Device::Gemm.
  (void)dnnl_sgemm(TransposeFlag(args.transpose_a),
                   TransposeFlag(args.transpose_b), args.m, args.n, args.k,
                   1.0f, args.a, args.lda, args.b, args.ldb, args.beta, args.c,
                   args.ldc);
}

bool CanOneDnnBF16(const GemmArgs& args) {
  return args.compute == ComputeType::kBF16 && CpuHasBF16() && args.m > 0 &&
         args.n > 0 && args.k > 0;
}

// Rounds the operand to bfloat16, dense, keeping its orientation.
std::vector<uint16_t> ToBF16(const float* src, int64_t rows, int64_t cols,
                             int64_t ld) {
  std::vector<uint16_t> dense(static_cast<size_t>(rows * cols));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      dense[static_cast<size_t>(r * cols + c)] = F32ToBF16(src[r * ld + c]);
    }
  }
  return dense;
}

dnnl::memory::desc MatrixDesc(int64_t rows, int64_t cols, Transpose stored,
                              dnnl::memory::data_type type) {
  // Strides of the logical [rows, cols] matrix over its dense storage.
  const dnnl::memory::dims strides = stored == Transpose::kYes
                                         ? dnnl::memory::dims{1, rows}
                                         : dnnl::memory::dims{cols, 1};
  return dnnl::memory::desc({rows, cols}, type, strides);
}

void RunOneDnnBF16(const GemmArgs& args) {
  KeepOneDnnOnThisThread();
  using dnnl::memory;
  thread_local dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  thread_local dnnl::stream stream(engine);
  const bool ta = args.transpose_a == Transpose::kYes;
  const bool tb = args.transpose_b == Transpose::kYes;
  std::vector<uint16_t> a =
      ToBF16(args.a, ta ? args.k : args.m, ta ? args.m : args.k, args.lda);
  std::vector<uint16_t> b =
      ToBF16(args.b, tb ? args.n : args.k, tb ? args.k : args.n, args.ldb);
  const memory::desc a_desc =
      MatrixDesc(args.m, args.k, args.transpose_a, memory::data_type::bf16);
  const memory::desc b_desc =
      MatrixDesc(args.k, args.n, args.transpose_b, memory::data_type::bf16);
  const memory::desc c_desc({args.m, args.n}, memory::data_type::f32,
                            {args.ldc, 1});
  dnnl::primitive_attr attr;
  if (args.beta != 0.0f) {
    dnnl::post_ops ops;
    ops.append_sum(args.beta);
    attr.set_post_ops(ops);
  }
  // Creation is cheap on repeated shapes: oneDNN caches primitives.
  const dnnl::matmul matmul(dnnl::matmul::primitive_desc(
      dnnl::matmul::desc(a_desc, b_desc, c_desc), attr, engine));
  memory a_memory(a_desc, engine, a.data());
  memory b_memory(b_desc, engine, b.data());
  memory c_memory(c_desc, engine, args.c);
  matmul.execute(stream, {{DNNL_ARG_SRC, a_memory},
                          {DNNL_ARG_WEIGHTS, b_memory},
                          {DNNL_ARG_DST, c_memory}});
  stream.wait();
}

bool CanReference(const GemmArgs&) { return true; }

constexpr GemmImplementation kImplementations[] = {
    {"strict_f32", CanStrict, StrictGemm},
    {"onednn_bf16", CanOneDnnBF16, RunOneDnnBF16},
    {"onednn_f32", CanOneDnnF32, RunOneDnnF32},
    {"reference", CanReference, reference::Gemm},
};

}  // namespace

absl::Span<const GemmImplementation> GemmImplementations() {
  return kImplementations;
}

const GemmImplementation& ChooseGemm(const GemmArgs& args) {
  return *std::find_if(
      std::begin(kImplementations), std::end(kImplementations),
      [&](const GemmImplementation& row) { return row.can(args); });
}

void ParallelGemm(const GemmArgs& args, ThreadPool& pool) {
  const GemmImplementation& implementation = ChooseGemm(args);
  const int64_t pieces = (args.m + kGemmPieceRows - 1) / kGemmPieceRows;
  pool.ParallelFor(pieces, [&](int64_t piece) {
    const int64_t begin = piece * kGemmPieceRows;
    GemmArgs part = args;
    part.m = std::min(kGemmPieceRows, args.m - begin);
    part.a += begin * (args.transpose_a == Transpose::kYes ? 1 : args.lda);
    part.c += begin * args.ldc;
    implementation.run(part);
  });
}

}  // namespace quantd::cpu

namespace quantd {

bool CpuHasBF16() {
  static const bool has = [] {
    const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
    return isa == dnnl::cpu_isa::avx512_core_bf16 ||
           isa == dnnl::cpu_isa::avx512_core_amx;
  }();
  return has;
}

}  // namespace quantd
