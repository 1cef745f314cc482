#include "kernels/cpu/state_space.h"

#include <algorithm>
#include <cmath>

namespace quantd::cpu {
namespace {

// Channels per piece: enough work to pay for the hand-over, and their states
// (16 floats each in published models) stay in the first-level cache.
constexpr int64_t kChannels = 64;

void ScanChannels(const SelectiveScanArgs& args, int64_t first, int64_t last) {
  for (int64_t t = 0; t < args.tokens; ++t) {
    const float* b = args.b + t * args.states;
    const float* c = args.c + t * args.states;
    for (int64_t channel = first; channel < last; ++channel) {
      const float u = args.u[t * args.channels + channel];
      const float dt = args.dt[t * args.channels + channel];
      const float* a = args.a + channel * args.states;
      float* h = args.h + channel * args.states;
      float y = 0.0f;
      for (int64_t n = 0; n < args.states; ++n) {
        h[n] = std::exp(dt * a[n]) * h[n] + dt * b[n] * u;
        y += c[n] * h[n];
      }
      args.y[t * args.channels + channel] = y + args.skip[channel] * u;
    }
  }
}

}  // namespace

void SelectiveScan(const SelectiveScanArgs& args, ThreadPool& pool) {
  pool.ParallelFor(
      (args.channels + kChannels - 1) / kChannels, [&](int64_t piece) {
        const int64_t first = piece * kChannels;
        ScanChannels(args, first, std::min(first + kChannels, args.channels));
      });
}

}  // namespace quantd::cpu
