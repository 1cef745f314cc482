// Nearest centroids of many short vectors, compiled with Highway for every
// instruction set of the architecture and dispatched at run time. Contract:
// kernels/device.h.
#ifndef QUANTD_KERNELS_CPU_NEAREST_CENTROID_H_
#define QUANTD_KERNELS_CPU_NEAREST_CENTROID_H_

#include "kernels/device.h"

namespace quantd::cpu {

void FindNearestCentroids(const NearestCentroidArgs& args);

}  // namespace quantd::cpu

#endif  // QUANTD_KERNELS_CPU_NEAREST_CENTROID_H_
