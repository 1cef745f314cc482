#include "client/svg_plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "client/label_places.h"
#include "client/svg_text.h"

namespace quantd {
namespace {

constexpr double kWidth = 800, kHeight = 480;
constexpr double kLeft = 84, kRight = 190, kTop = 64, kBottom = 58;
constexpr double kPlotWidth = kWidth - kLeft - kRight;
constexpr double kLegendRow = 20;
// Between texts and the edge of the picture.
constexpr double kMargin = 10;
// Of a mark, with its line.
constexpr double kMarkRadius = 5.5;
// Half of the cap of an error bar.
constexpr double kCap = 4;
constexpr double kTextSize = 12, kTitleSize = 15, kLabelSize = 10;

// Okabe and Ito's colours, which people with defects of colour vision tell
// apart (https://jfly.uni-koeln.de/color/).
constexpr std::array<const char*, 7> kColors = {"#0072b2", "#d55e00", "#009e73",
                                                "#cc79a7", "#e69f00", "#56b4e9",
                                                "#000000"};

// Far above anything that is measured; sums and squares stay finite.
constexpr double kLargest = 1e100;

// Where a value lies on an axis, 0..1 from its low end.
struct Scale {
  double low = 0, high = 1;
  bool logarithmic = false;

  double Share(double value) const {
    return logarithmic ? std::log(value / low) / std::log(high / low)
                       : (value - low) / (high - low);
  }
  std::vector<double> Ticks() const {
    return logarithmic ? LogarithmicTicks(low, high)
                       : LinearTicks(low, high, 7);
  }
};

// A scale over `values` with some room at both ends.
Scale ScaleOver(const std::vector<double>& values, bool logarithmic) {
  Scale scale;
  scale.logarithmic = logarithmic;
  scale.low = *std::min_element(values.begin(), values.end());
  scale.high = *std::max_element(values.begin(), values.end());
  constexpr double kRoom = 0.06;
  // Of their size, values that differ by less share a tick's digits.
  constexpr double kNarrowest = 0.01;
  if (logarithmic) {
    const double factor =
        scale.high > scale.low ? std::pow(scale.high / scale.low, kRoom) : 2;
    scale.low /= factor;
    scale.high *= factor;
  } else {
    const double width = scale.high - scale.low;
    const double size = std::max(std::abs(scale.low), std::abs(scale.high));
    const double room = width > kNarrowest * size
                            ? width * kRoom
                            : std::max(size * kRoom, 1e-9);
    scale.low -= room;
    scale.high += room;
  }
  return scale;
}

absl::Status CheckPlot(const Plot& plot) {
  if (plot.points.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("plot \"", plot.title, "\" has no points"));
  }
  for (const PlotPoint& point : plot.points) {
    const auto refuse = [&](absl::string_view reason) {
      return absl::InvalidArgumentError(absl::StrCat(
          "plot \"", plot.title, "\", point \"", point.label, "\" (", point.x,
          ", ", point.y, " +/- ", point.y_error, "): ", reason));
    };
    for (const double value :
         {point.x, point.y, point.x_error, point.y_error}) {
      // NaN fails it too.
      if (!(std::abs(value) <= kLargest)) return refuse("not finite");
    }
    if (point.x_error < 0 || point.y_error < 0) return refuse("error below 0");
    if ((plot.x.logarithmic && point.x <= 0) ||
        (plot.y.logarithmic && point.y <= 0)) {
      return refuse("not above 0 on a logarithmic axis");
    }
  }
  if (plot.reference_y.has_value() &&
      (!(std::abs(*plot.reference_y) <= kLargest) ||
       (plot.y.logarithmic && *plot.reference_y <= 0))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "plot \"", plot.title, "\": reference line at ", *plot.reference_y));
  }
  return absl::OkStatus();
}

class Drawing {
 public:
  explicit Drawing(const Plot& plot) : plot_(plot) {
    std::vector<double> xs, ys;
    for (const PlotPoint& point : plot.points) {
      xs.push_back(point.x);
      xs.push_back(point.x + point.x_error);
      const double left = point.x - point.x_error;
      if (!plot.x.logarithmic || left > 0) xs.push_back(left);
      ys.push_back(point.y);
      ys.push_back(point.y + point.y_error);
      const double bottom = point.y - point.y_error;
      if (!plot.y.logarithmic || bottom > 0) ys.push_back(bottom);
    }
    if (plot.reference_y.has_value()) ys.push_back(*plot.reference_y);
    x_ = ScaleOver(xs, plot.x.logarithmic);
    y_ = ScaleOver(ys, plot.y.logarithmic);
    for (const PlotPoint& point : plot.points) {
      if (std::find(series_.begin(), series_.end(), point.series) ==
          series_.end()) {
        series_.push_back(point.series);
      }
    }
    // A long legend makes the picture higher.
    const double legend =
        kLegendRow * static_cast<double>(series_.size() + 1) + kTop + kMargin;
    height_ = std::max(kHeight, legend);
    plot_height_ = height_ - kTop - kBottom;
  }

  std::string Render() {
    absl::StrAppendFormat(
        &svg_,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%g\" height=\"%g\" "
        "viewBox=\"0 0 %g %g\" font-family=\"sans-serif\" font-size=\"%g\">\n"
        "<title>%s</title>\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
        kWidth, height_, kWidth, height_, kTextSize, XmlEscape(plot_.title));
    // Bold is wider.
    constexpr double kBold = 1.12;
    constexpr double kTextWidth = kWidth - kLeft - kMargin;
    Text(kLeft, 26, "start",
         FittedText(plot_.title, kTitleSize * kBold, kTextWidth),
         absl::StrFormat("font-size=\"%g\" font-weight=\"bold\"", kTitleSize));
    if (!plot_.note.empty()) {
      Text(kLeft, 45, "start", FittedText(plot_.note, kTextSize, kTextWidth),
           "fill=\"#555555\"");
    }
    Axes();
    Reference();
    Front();
    for (const PlotPoint& point : plot_.points) Bars(point);
    for (const PlotPoint& point : plot_.points) {
      Mark(X(point.x), Y(point.y), point.series,
           point.mark == PointMark::kHollow, TitleOf(point));
    }
    Labels();
    Legend();
    absl::StrAppend(&svg_, "</svg>\n");
    return std::move(svg_);
  }

 private:
  double X(double value) const { return kLeft + x_.Share(value) * kPlotWidth; }
  double Y(double value) const {
    return kTop + (1 - y_.Share(value)) * plot_height_;
  }
  size_t SeriesIndex(const std::string& series) const {
    return static_cast<size_t>(
        std::find(series_.begin(), series_.end(), series) - series_.begin());
  }
  const char* ColorOf(const std::string& series) const {
    return kColors[SeriesIndex(series) % kColors.size()];
  }

  void Line(double x1, double y1, double x2, double y2,
            absl::string_view style) {
    absl::StrAppendFormat(
        &svg_, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n",
        x1, y1, x2, y2, style);
  }
  void Text(double x, double y, absl::string_view anchor,
            absl::string_view text, absl::string_view style = "") {
    absl::StrAppendFormat(
        &svg_, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" %s>%s</text>\n",
        x, y, anchor, style, XmlEscape(text));
  }

  void Axes() {
    constexpr char kGrid[] = "stroke=\"#e4e4e4\"";
    const double bottom = kTop + plot_height_;
    for (const double tick : x_.Ticks()) {
      Line(X(tick), kTop, X(tick), bottom, kGrid);
      Line(X(tick), bottom, X(tick), bottom + 5, "stroke=\"#000000\"");
      Text(X(tick), bottom + 19, "middle", absl::StrFormat("%g", tick));
    }
    for (const double tick : y_.Ticks()) {
      Line(kLeft, Y(tick), kLeft + kPlotWidth, Y(tick), kGrid);
      Line(kLeft - 5, Y(tick), kLeft, Y(tick), "stroke=\"#000000\"");
      Text(kLeft - 8, Y(tick) + 4, "end", absl::StrFormat("%g", tick));
    }
    absl::StrAppendFormat(
        &svg_,
        "<rect x=\"%g\" y=\"%g\" width=\"%g\" height=\"%g\" fill=\"none\" "
        "stroke=\"#000000\"/>\n",
        kLeft, kTop, kPlotWidth, plot_height_);
    Text(kLeft + kPlotWidth / 2, height_ - 16, "middle",
         FittedText(plot_.x.label, kTextSize, kPlotWidth));
    const double middle = kTop + plot_height_ / 2;
    Text(20, middle, "middle",
         FittedText(plot_.y.label, kTextSize, plot_height_),
         absl::StrFormat("transform=\"rotate(-90 20 %.1f)\"", middle));
  }

  void Reference() {
    if (!plot_.reference_y.has_value()) return;
    Line(kLeft, Y(*plot_.reference_y), kLeft + kPlotWidth,
         Y(*plot_.reference_y), "stroke=\"#555555\" stroke-dasharray=\"5 4\"");
  }

  // The front's points, from left to right.
  std::vector<const PlotPoint*> FrontPoints() const {
    std::vector<const PlotPoint*> front;
    for (const PlotPoint& point : plot_.points) {
      if (point.mark == PointMark::kOnFront) front.push_back(&point);
    }
    std::stable_sort(front.begin(), front.end(),
                     [](const PlotPoint* a, const PlotPoint* b) {
                       return a->x != b->x ? a->x < b->x : a->y > b->y;
                     });
    return front;
  }

  void Front() {
    const std::vector<const PlotPoint*> front = FrontPoints();
    if (front.size() < 2) return;
    absl::StrAppend(&svg_, "<polyline points=\"");
    for (size_t i = 0; i < front.size(); ++i) {
      absl::StrAppendFormat(&svg_, "%s%.1f,%.1f", i == 0 ? "" : " ",
                            X(front[i]->x), Y(front[i]->y));
    }
    absl::StrAppend(
        &svg_, "\" fill=\"none\" stroke=\"#888888\" stroke-width=\"1.5\"/>\n");
  }

  // The ends of a point's bars within the axes.
  PictureBox BarsOf(const PlotPoint& point) const {
    return {X(std::max(point.x - point.x_error, x_.low)),
            Y(point.y + point.y_error), X(point.x + point.x_error),
            Y(std::max(point.y - point.y_error, y_.low))};
  }

  void Bars(const PlotPoint& point) {
    const std::string style =
        absl::StrFormat("stroke=\"%s\"", ColorOf(point.series));
    const double x = X(point.x), y = Y(point.y);
    const PictureBox ends = BarsOf(point);
    // An end beyond the axis has no cap.
    if (point.y_error > 0) {
      Line(x, ends.top, x, ends.bottom, style);
      Line(x - kCap, ends.top, x + kCap, ends.top, style);
      if (point.y - point.y_error > y_.low) {
        Line(x - kCap, ends.bottom, x + kCap, ends.bottom, style);
      }
    }
    if (point.x_error > 0) {
      Line(ends.left, y, ends.right, y, style);
      Line(ends.right, y - kCap, ends.right, y + kCap, style);
      if (point.x - point.x_error > x_.low) {
        Line(ends.left, y - kCap, ends.left, y + kCap, style);
      }
    }
  }

  static std::string WithError(double value, double error) {
    return error > 0 ? absl::StrFormat("%.4g +/- %.2g", value, error)
                     : absl::StrFormat("%.4g", value);
  }

  static std::string TitleOf(const PlotPoint& point) {
    return absl::StrCat(point.label, ": ", WithError(point.x, point.x_error),
                        ", ", WithError(point.y, point.y_error));
  }

  // A mark in the colour and shape of the series: colours come back after
  // seven, with the next shape. Empty: no title.
  void Mark(double x, double y, const std::string& series, bool is_hollow,
            const std::string& title) {
    const char* color = ColorOf(series);
    MarkOf(SeriesIndex(series) / kColors.size(), x, y,
           is_hollow ? "#ffffff" : color, color, title);
  }

  void MarkOf(size_t shape, double x, double y, const char* fill,
              const char* stroke, const std::string& title) {
    const char* element = "circle";
    switch (shape % 4) {
      case 0:
        absl::StrAppendFormat(
            &svg_, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"", x, y);
        break;
      case 1:
        element = "rect";
        absl::StrAppendFormat(
            &svg_, "<rect x=\"%.1f\" y=\"%.1f\" width=\"8\" height=\"8\"",
            x - 4, y - 4);
        break;
      case 2:
        element = "polygon";
        absl::StrAppendFormat(
            &svg_, "<polygon points=\"%.1f,%.1f %.1f,%.1f %.1f,%.1f\"", x,
            y - 5, x + 5, y + 4, x - 5, y + 4);
        break;
      default:
        element = "polygon";
        absl::StrAppendFormat(
            &svg_,
            "<polygon points=\"%.1f,%.1f %.1f,%.1f %.1f,%.1f %.1f,%.1f\"", x,
            y - 5.5, x + 5.5, y, x, y + 5.5, x - 5.5, y);
    }
    absl::StrAppendFormat(
        &svg_, " fill=\"%s\" stroke=\"%s\" stroke-width=\"1.5\"", fill, stroke);
    if (title.empty()) {
      absl::StrAppend(&svg_, "/>\n");
    } else {
      absl::StrAppend(&svg_, "><title>", XmlEscape(title), "</title></",
                      element, ">\n");
    }
  }

  // A name in its box, from the end that is at the point: the reader's font may
  // be narrower than the box. Where that is far, with a line.
  void Label(const PointLabel& label, const PictureBox& box,
             const std::string& text) {
    const bool is_left = box.right <= label.x, is_right = box.left >= label.x;
    // Letters without descenders stand on the baseline.
    Text(is_left    ? box.right
         : is_right ? box.left
                    : (box.left + box.right) / 2,
         box.bottom - 2.5,
         is_left    ? "end"
         : is_right ? "start"
                    : "middle",
         text,
         absl::StrFormat("font-size=\"%g\" fill=\"#333333\"", kLabelSize));
    constexpr double kNear = 14;
    const double length = box.Distance(label.x, label.y);
    if (length <= kNear) return;
    const auto [x, y] = box.Nearest(label.x, label.y);
    const double skipped = kMarkRadius / length;
    Line(label.x + skipped * (x - label.x), label.y + skipped * (y - label.y),
         x, y, "stroke=\"#aaaaaa\" stroke-width=\"0.7\"");
  }

  // Names of the front's points; one without a place is left out (the mark has
  // a title).
  void Labels() {
    std::vector<PictureBox> taken;
    for (const PlotPoint& point : plot_.points) {
      const double x = X(point.x), y = Y(point.y);
      taken.push_back(
          {x - kMarkRadius, y - kMarkRadius, x + kMarkRadius, y + kMarkRadius});
      const PictureBox ends = BarsOf(point);
      if (point.y_error > 0) {
        taken.push_back({x - kCap, ends.top, x + kCap, ends.bottom});
      }
      if (point.x_error > 0) {
        taken.push_back({ends.left, y - kCap, ends.right, y + kCap});
      }
    }
    if (plot_.reference_y.has_value()) {
      const double y = Y(*plot_.reference_y);
      taken.push_back({kLeft, y - 1, kLeft + kPlotWidth, y + 1});
    }
    std::vector<std::string> texts;
    std::vector<PointLabel> labels;
    std::vector<std::pair<double, double>> line;
    for (const PlotPoint* point : FrontPoints()) {
      constexpr double kLongest = 0.6 * kPlotWidth;
      texts.push_back(FittedText(point->label, kLabelSize, kLongest));
      labels.push_back({X(point->x), Y(point->y),
                        TextWidth(texts.back(), kLabelSize), kLabelSize + 1});
      line.emplace_back(X(point->x), Y(point->y));
    }
    const std::vector<std::optional<PictureBox>> places = PlaceLabels(
        labels, std::move(taken), line,
        {kLeft + 2, kTop + 2, kLeft + kPlotWidth - 2, kTop + plot_height_ - 2});
    for (size_t i = 0; i < places.size(); ++i) {
      if (places[i].has_value()) Label(labels[i], *places[i], texts[i]);
    }
  }

  void Legend() {
    constexpr double kX = kLeft + kPlotWidth + 18;
    constexpr double kTextX = kX + 12;
    double y = kTop + 8;
    const auto name = [&](absl::string_view text) {
      Text(kTextX, y + 4, "start",
           FittedText(text, kTextSize, kWidth - kMargin - kTextX));
      y += kLegendRow;
    };
    for (const std::string& series : series_) {
      Mark(kX, y, series, /*is_hollow=*/false, "");
      name(series);
    }
    const bool any_hollow = std::any_of(
        plot_.points.begin(), plot_.points.end(), [](const PlotPoint& point) {
          return point.mark == PointMark::kHollow;
        });
    if (!any_hollow) return;
    MarkOf(0, kX, y, "#ffffff", "#555555", "");
    name("dominated");
  }

  const Plot& plot_;
  Scale x_, y_;
  double height_ = kHeight, plot_height_ = 0;
  std::vector<std::string> series_;
  std::string svg_;
};

}  // namespace

std::vector<double> LinearTicks(double low, double high, int count) {
  const double raw = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= raw) step = factor * power;
  }
  std::vector<double> ticks;
  const double first = std::ceil(low / step - 1e-9);
  const double last = std::floor(high / step + 1e-9);
  // Counted, so that rounding does not add up; + 0.0 turns -0 into 0.
  for (double i = first; i <= last && ticks.size() < 1000; ++i) {
    ticks.push_back(i * step + 0.0);
  }
  return ticks;
}

std::vector<double> LogarithmicTicks(double low, double high) {
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  const auto collect = [&](std::initializer_list<double> factors) {
    std::vector<double> ticks;
    for (int power = first; power <= last; ++power) {
      for (const double factor : factors) {
        const double tick = factor * std::pow(10.0, power);
        if (tick >= low && tick <= high) ticks.push_back(tick);
      }
    }
    return ticks;
  };
  std::vector<double> ticks = collect({1});
  if (ticks.size() < 3) ticks = collect({1, 2, 5});
  if (ticks.size() < 3) ticks = collect({1, 2, 3, 4, 5, 6, 7, 8, 9});
  // Within less than a step of these the axis is as good as linear.
  return ticks.size() < 2 ? LinearTicks(low, high, 5) : ticks;
}

absl::StatusOr<std::string> RenderSvg(const Plot& plot) {
  RETURN_IF_ERROR(CheckPlot(plot));
  return Drawing(plot).Render();
}

}  // namespace quantd
