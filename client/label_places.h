// Where the names of points go in a picture: near their points, and over
// nothing else.
//
// Thread-safe: a free function of its arguments.
#ifndef QUANTD_CLIENT_LABEL_PLACES_H_
#define QUANTD_CLIENT_LABEL_PLACES_H_

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace quantd {

// A part of the picture; y grows downwards.
struct PictureBox {
  double left = 0, top = 0, right = 0, bottom = 0;

  bool Overlaps(const PictureBox& other) const {
    return left < other.right && other.left < right && top < other.bottom &&
           other.top < bottom;
  }
  bool Contains(const PictureBox& other) const {
    return left <= other.left && other.right <= right && top <= other.top &&
           other.bottom <= bottom;
  }
  bool Contains(double x, double y) const {
    return left < x && x < right && top < y && y < bottom;
  }
  // The point of the box that is nearest, and how far that is.
  std::pair<double, double> Nearest(double x, double y) const {
    return {std::clamp(x, left, right), std::clamp(y, top, bottom)};
  }
  double Distance(double x, double y) const {
    const auto [near_x, near_y] = Nearest(x, y);
    return std::hypot(near_x - x, near_y - y);
  }
};

// A text beside a point.
struct PointLabel {
  double x = 0, y = 0;
  double width = 0, height = 0;
};

// One place a label, in order: within `area`, over none of `taken` and of the
// labels before it, as near to its point as that allows without hiding more of
// `line` (its corners) than need be. Nothing for one that finds no place.
std::vector<std::optional<PictureBox>> PlaceLabels(
    absl::Span<const PointLabel> labels, std::vector<PictureBox> taken,
    absl::Span<const std::pair<double, double>> line, const PictureBox& area);

}  // namespace quantd

#endif  // QUANTD_CLIENT_LABEL_PLACES_H_
