// Plots of a sweep's fronts.
//
// Thread-safe: a free function of its argument.
#ifndef QUANTD_CLIENT_SWEEP_PLOTS_H_
#define QUANTD_CLIENT_SWEEP_PLOTS_H_

#include <string>
#include <vector>

#include "client/svg_plot.h"
#include "client/sweep_result.h"

namespace quantd {

struct NamedPlot {
  std::string file;  // "bits_per_weight-divergence_gptq-512-mean_kl.svg"
  Plot plot;
};

// One a front that has two points or more.
std::vector<NamedPlot> SweepPlots(const SweepResult& result);

}  // namespace quantd

#endif  // QUANTD_CLIENT_SWEEP_PLOTS_H_
