#include <memory>

#include "kernels/device.h"
#include "kernels/reference/backward_kernels.h"
#include "kernels/reference/reference_kernels.h"

namespace quantd {
namespace {

class ReferenceDevice final : public Device {
 public:
  absl::string_view name() const override { return "reference"; }
  std::string gemm_name(const GemmArgs&) const override { return "reference"; }
  ThreadPool& pool() override { return pool_; }

  void Gemm(const GemmArgs& args) override { reference::Gemm(args); }
  void AccumulateGram(const float* x, int64_t rows, int64_t cols,
                      double* gram) override {
    reference::AccumulateGram(x, rows, cols, gram);
  }
  void RmsNorm(const float* x, const float* weight, float eps, int64_t rows,
               int64_t cols, float* y) override {
    reference::RmsNorm(x, weight, eps, rows, cols, y);
  }
  void LayerNorm(const float* x, const float* weight, const float* bias,
                 float eps, int64_t rows, int64_t cols, float* y) override {
    reference::LayerNorm(x, weight, bias, eps, rows, cols, y);
  }
  void Rotary(const RotaryArgs& args) override { reference::Rotary(args); }
  void Attention(const AttentionArgs& args) override {
    reference::Attention(args);
  }
  void Activate(Activation activation, const float* x, int64_t count,
                float* y) override {
    reference::Activate(activation, x, count, y);
  }
  void ActivateMul(Activation activation, const float* gate, const float* up,
                   int64_t count, float* y) override {
    reference::ActivateMul(activation, gate, up, count, y);
  }
  void Softcap(float cap, int64_t count, float* x) override {
    reference::Softcap(cap, count, x);
  }
  void CausalConv(const CausalConvArgs& args) override {
    reference::CausalConv(args);
  }
  void SelectiveScan(const SelectiveScanArgs& args) override {
    reference::SelectiveScan(args);
  }
  void Add(const float* x, int64_t count, float* y) override {
    reference::Add(x, count, y);
  }
  void AddBias(const float* bias, int64_t rows, int64_t cols,
               float* y) override {
    reference::AddBias(bias, rows, cols, y);
  }
  void NegativeLogLikelihood(const float* logits, const int32_t* targets,
                             int64_t rows, int64_t cols, double* nll) override {
    reference::NegativeLogLikelihood(logits, targets, rows, cols, nll);
  }
  void DecodePackedInt(const PackedIntArgs& args) override {
    reference::DecodePackedInt(args);
  }

  void FindNearestCentroids(const NearestCentroidArgs& args) const override {
    reference::FindNearestCentroids(args);
  }

  void RmsNormBackward(const NormBackwardArgs& args) override {
    reference::RmsNormBackward(args);
  }
  void LayerNormBackward(const NormBackwardArgs& args) override {
    reference::LayerNormBackward(args);
  }
  void AttentionBackward(const AttentionArgs& args,
                         const AttentionGradients* gradients) override {
    reference::AttentionBackward(args, gradients);
  }
  void ActivateBackward(Activation activation, const float* x, const float* dy,
                        int64_t count, float* dx) override {
    reference::ActivateBackward(activation, x, dy, count, dx);
  }
  void SoftcapBackward(float cap, const float* y, const float* dy,
                       int64_t count, float* dx) override {
    reference::SoftcapBackward(cap, y, dy, count, dx);
  }
  void Multiply(const float* x, const float* y, int64_t count,
                float* z) override {
    reference::Multiply(x, y, count, z);
  }
  void SumRows(const float* x, int64_t rows, int64_t cols,
               double* sums) override {
    reference::SumRows(x, rows, cols, sums);
  }
  void NegativeLogLikelihoodBackward(const float* logits,
                                     const int32_t* targets, const double* dnll,
                                     int64_t rows, int64_t cols,
                                     float* dlogits) override {
    reference::NegativeLogLikelihoodBackward(logits, targets, dnll, rows, cols,
                                             dlogits);
  }
  void KlDivergence(const float* teacher, const float* student,
                    float temperature, int64_t rows, int64_t cols,
                    double* kl) override {
    reference::KlDivergence(teacher, student, temperature, rows, cols, kl);
  }
  void KlDivergenceBackward(const float* teacher, const float* student,
                            float temperature, const double* dkl, int64_t rows,
                            int64_t cols, float* dstudent) override {
    reference::KlDivergenceBackward(teacher, student, temperature, dkl, rows,
                                    cols, dstudent);
  }
  void CausalConvBackward(const CausalConvBackwardArgs& args) override {
    reference::CausalConvBackward(args);
  }
  void SelectiveScanBackward(const SelectiveScanBackwardArgs& args) override {
    reference::SelectiveScanBackward(args);
  }

 private:
  ThreadPool pool_{1};
};

}  // namespace

std::unique_ptr<Device> NewReferenceDevice() {
  return std::make_unique<ReferenceDevice>();
}

}  // namespace quantd
