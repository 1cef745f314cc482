#include "client/label_places.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace quantd {
namespace {

// From a point to its label, near ones first.
constexpr std::array<double, 8> kDistances = {7, 13, 20, 30, 42, 56, 72, 90};

// Where a label is, seen from its point. `across` is the place of the point
// along the label, 0 at its beginning; outside 0..1 it is beside the label, by
// the distance.
struct Side {
  double across;
  int down;
};

// In the order they are liked.
constexpr std::array<Side, 16> kSides = {{{-1, -1},
                                          {-1, 1},
                                          {2, -1},
                                          {2, 1},
                                          {-1, 0},
                                          {2, 0},
                                          {0.5, -1},
                                          {0.5, 1},
                                          {0, -1},
                                          {0, 1},
                                          {1, -1},
                                          {1, 1},
                                          {0.25, -1},
                                          {0.25, 1},
                                          {0.75, -1},
                                          {0.75, 1}}};

// What a side that is liked less weighs, as a distance.
constexpr double kDislike = 0.3;

PictureBox BoxAt(const PointLabel& label, double distance, const Side& side,
                 const PictureBox& area) {
  PictureBox box;
  if (side.across < 0) {
    box.left = label.x + distance;
  } else if (side.across > 1) {
    box.left = label.x - distance - label.width;
  } else {
    // Above or below, a label near the edge moves along it.
    box.left = std::max(area.left, std::min(label.x - side.across * label.width,
                                            area.right - label.width));
  }
  box.top = label.y - label.height / 2 + side.down * distance;
  box.right = box.left + label.width;
  box.bottom = box.top + label.height;
  return box;
}

// How much of the line lies in the box, to a few pixels.
double HiddenLine(const PictureBox& box,
                  absl::Span<const std::pair<double, double>> line) {
  constexpr double kStep = 3;
  double hidden = 0;
  for (size_t i = 1; i < line.size(); ++i) {
    const auto& [x, y] = line[i - 1];
    const double dx = line[i].first - x, dy = line[i].second - y;
    const int steps = static_cast<int>(std::hypot(dx, dy) / kStep) + 1;
    for (int s = 0; s <= steps; ++s) {
      const double part = static_cast<double>(s) / steps;
      if (box.Contains(x + part * dx, y + part * dy)) hidden += kStep;
    }
  }
  return hidden;
}

}  // namespace

std::vector<std::optional<PictureBox>> PlaceLabels(
    absl::Span<const PointLabel> labels, std::vector<PictureBox> taken,
    absl::Span<const std::pair<double, double>> line, const PictureBox& area) {
  std::vector<std::optional<PictureBox>> places;
  for (const PointLabel& label : labels) {
    std::optional<PictureBox>& best = places.emplace_back();
    double least = 0;
    for (const double distance : kDistances) {
      for (size_t s = 0; s < kSides.size(); ++s) {
        const PictureBox box = BoxAt(label, distance, kSides[s], area);
        const bool is_free =
            area.Contains(box) && std::none_of(taken.begin(), taken.end(),
                                               [&](const PictureBox& other) {
                                                 return box.Overlaps(other);
                                               });
        if (!is_free) continue;
        const double badness = box.Distance(label.x, label.y) +
                               HiddenLine(box, line) +
                               kDislike * static_cast<double>(s);
        if (best.has_value() && badness >= least) continue;
        best = box;
        least = badness;
      }
    }
    if (best.has_value()) taken.push_back(*best);
  }
  return places;
}

}  // namespace quantd
