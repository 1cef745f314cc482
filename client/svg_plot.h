// Scatter plots with error bars as SVG 1.1, for reports of sweeps: two axes
// with ticks, points in a colour a series, and the front as a line.
//
//   Plot plot;
//   plot.title = "demo: KL against bits per weight";
//   plot.x.label = "bits per weight";
//   plot.y = {"mean KL, nats", /*logarithmic=*/true};
//   plot.points.push_back({3.25, 0.07, 0.002, "gptq bits=3", "gptq"});
//   ASSIGN_OR_RETURN(const std::string svg, RenderSvg(plot));
//
// The text stands alone (no scripts, fonts or files of others) and is valid
// XML whatever the labels are; equal plots give equal bytes. Labels do not
// overlap each other, points or bars; texts that are too long for their place
// are cut in the middle. Widths of texts are estimated, for the widest of the
// usual fonts, since the reader's are not known.
//
// Thread-safe: free functions of their arguments.
#ifndef QUANTD_CLIENT_SVG_PLOT_H_
#define QUANTD_CLIENT_SVG_PLOT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace quantd {

enum class PointMark {
  // Filled, joined to the front, and labelled where there is room.
  kOnFront,
  kFilled,
  kHollow,
};

struct PlotPoint {
  double x = 0;
  double y = 0;
  // Half the lengths of the error bars; 0: none.
  double y_error = 0;
  std::string label;
  // Points of a series have one colour and shape, and a row in the legend.
  std::string series;
  PointMark mark = PointMark::kFilled;
  double x_error = 0;
};

struct PlotAxis {
  std::string label;
  bool logarithmic = false;
};

struct Plot {
  std::string title;
  // A line below the title; may be empty.
  std::string note;
  PlotAxis x, y;
  std::vector<PlotPoint> points;
  // A dashed horizontal line: where there is no loss.
  std::optional<double> reference_y;
};

// InvalidArgument without points, for a number that is not finite, an error
// below 0, or a value that is not above 0 on a logarithmic axis. An error bar
// that reaches below a logarithmic axis is cut at its edge.
absl::StatusOr<std::string> RenderSvg(const Plot& plot);

// Round numbers within low..high: 1, 2 or 5 times a power of ten, at most
// about `count` of them. REQUIRES: low < high, count >= 2.
std::vector<double> LinearTicks(double low, double high, int count);
// 1, 2 and 5 times powers of ten, or the powers alone where there are many.
// REQUIRES: 0 < low < high.
std::vector<double> LogarithmicTicks(double low, double high);

}  // namespace quantd

#endif  // QUANTD_CLIENT_SVG_PLOT_H_
