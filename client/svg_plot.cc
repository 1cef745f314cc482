#include "client/svg_plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace quantd {
namespace {

constexpr double kWidth = 760, kHeight = 480;
constexpr double kLeft = 84, kRight = 170, kTop = 64, kBottom = 58;
constexpr double kPlotWidth = kWidth - kLeft - kRight;
constexpr double kPlotHeight = kHeight - kTop - kBottom;

// Okabe and Ito's colours, which people with defects of colour vision tell
// apart (https://jfly.uni-koeln.de/color/).
constexpr std::array<const char*, 7> kColors = {"#0072b2", "#d55e00", "#009e73",
                                                "#cc79a7", "#e69f00", "#56b4e9",
                                                "#000000"};

// Far above anything that is measured; sums and squares stay finite.
constexpr double kLargest = 1e100;

// The length in bytes of the UTF-8 sequence at `at`, 0 where there is none or
// one of a character that XML 1.0 (section 2.2) excludes.
size_t CharacterLength(absl::string_view text, size_t at) {
  const auto byte = [&](size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const unsigned first = byte(at);
  if (first < 0x80) {
    const bool is_allowed =
        first >= 0x20 || first == '\t' || first == '\n' || first == '\r';
    return is_allowed ? 1 : 0;
  }
  const size_t length = first >= 0xf0   ? 4
                        : first >= 0xe0 ? 3
                        : first >= 0xc0 ? 2
                                        : 0;
  if (length == 0) return 0;
  unsigned code = first & (0x7fU >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(at + i) & 0x3f);
  }
  constexpr std::array<unsigned, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  const bool is_excluded = code < kLeast[length] || code > 0x10ffff ||
                           (code >= 0xd800 && code < 0xe000) ||
                           code == 0xfffe || code == 0xffff;
  return is_excluded ? 0 : length;
}

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
  if (logarithmic) {
    const double factor =
        scale.high > scale.low ? std::pow(scale.high / scale.low, kRoom) : 2;
    scale.low /= factor;
    scale.high *= factor;
  } else {
    const double width = scale.high - scale.low;
    const double room = width > 0
                            ? width * kRoom
                            : std::max(std::abs(scale.high) * kRoom, 1e-9);
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
    for (const double value : {point.x, point.y, point.y_error}) {
      // NaN fails it too.
      if (!(std::abs(value) <= kLargest)) return refuse("not finite");
    }
    if (point.y_error < 0) return refuse("error below 0");
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
  }

  std::string Render() {
    absl::StrAppendFormat(
        &svg_,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%g\" height=\"%g\" "
        "viewBox=\"0 0 %g %g\" font-family=\"sans-serif\" font-size=\"12\">\n"
        "<title>%s</title>\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n",
        kWidth, kHeight, kWidth, kHeight, XmlEscape(plot_.title));
    Text(kLeft, 26, "start", plot_.title,
         "font-size=\"15\" font-weight=\"bold\"");
    if (!plot_.note.empty()) {
      Text(kLeft, 45, "start", plot_.note, "fill=\"#555555\"");
    }
    Axes();
    Reference();
    Front();
    for (const PlotPoint& point : plot_.points) Bar(point);
    for (const PlotPoint& point : plot_.points) Mark(point);
    Legend();
    absl::StrAppend(&svg_, "</svg>\n");
    return std::move(svg_);
  }

 private:
  double X(double value) const { return kLeft + x_.Share(value) * kPlotWidth; }
  double Y(double value) const {
    return kTop + (1 - y_.Share(value)) * kPlotHeight;
  }
  const char* ColorOf(const std::string& series) const {
    const auto at = std::find(series_.begin(), series_.end(), series);
    return kColors[static_cast<size_t>(at - series_.begin()) % kColors.size()];
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
    const double bottom = kTop + kPlotHeight;
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
        kLeft, kTop, kPlotWidth, kPlotHeight);
    Text(kLeft + kPlotWidth / 2, kHeight - 16, "middle", plot_.x.label);
    const double middle = kTop + kPlotHeight / 2;
    Text(20, middle, "middle", plot_.y.label,
         absl::StrFormat("transform=\"rotate(-90 20 %.1f)\"", middle));
  }

  void Reference() {
    if (!plot_.reference_y.has_value()) return;
    Line(kLeft, Y(*plot_.reference_y), kLeft + kPlotWidth,
         Y(*plot_.reference_y), "stroke=\"#555555\" stroke-dasharray=\"5 4\"");
  }

  void Front() {
    std::vector<std::pair<double, double>> front;
    for (const PlotPoint& point : plot_.points) {
      if (point.mark == PointMark::kOnFront) {
        front.emplace_back(X(point.x), Y(point.y));
      }
    }
    if (front.size() < 2) return;
    std::sort(front.begin(), front.end());
    absl::StrAppend(&svg_, "<polyline points=\"");
    for (size_t i = 0; i < front.size(); ++i) {
      absl::StrAppendFormat(&svg_, "%s%.1f,%.1f", i == 0 ? "" : " ",
                            front[i].first, front[i].second);
    }
    absl::StrAppend(
        &svg_, "\" fill=\"none\" stroke=\"#888888\" stroke-width=\"1.5\"/>\n");
  }

  void Bar(const PlotPoint& point) {
    if (point.y_error == 0) return;
    const std::string style =
        absl::StrFormat("stroke=\"%s\"", ColorOf(point.series));
    const double x = X(point.x);
    const double top = Y(point.y + point.y_error);
    const double low = std::max(point.y - point.y_error, y_.low);
    Line(x, top, x, Y(low), style);
    Line(x - 4, top, x + 4, top, style);
    // An end beyond the axis has no cap.
    if (low > y_.low) Line(x - 4, Y(low), x + 4, Y(low), style);
  }

  void Mark(const PlotPoint& point) {
    const char* color = ColorOf(point.series);
    const double x = X(point.x), y = Y(point.y);
    absl::StrAppendFormat(
        &svg_,
        "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" fill=\"%s\" stroke=\"%s\" "
        "stroke-width=\"1.5\"><title>%s: %s, %s</title></circle>\n",
        x, y, point.mark == PointMark::kHollow ? "#ffffff" : color, color,
        XmlEscape(point.label), absl::StrFormat("%.4g", point.x),
        point.y_error > 0
            ? absl::StrFormat("%.4g +/- %.2g", point.y, point.y_error)
            : absl::StrFormat("%.4g", point.y));
    if (point.mark != PointMark::kOnFront) return;
    // Beyond the middle the label goes to the left, where there is room.
    const bool is_right = x_.Share(point.x) > 0.6;
    Text(is_right ? x - 8 : x + 8, y - 7, is_right ? "end" : "start",
         point.label, "font-size=\"10\" fill=\"#333333\"");
  }

  void Legend() {
    const double x = kLeft + kPlotWidth + 18;
    double y = kTop + 8;
    const auto row = [&](const char* fill, const char* stroke,
                         absl::string_view text) {
      absl::StrAppendFormat(&svg_,
                            "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" "
                            "fill=\"%s\" stroke=\"%s\" "
                            "stroke-width=\"1.5\"/>\n",
                            x, y, fill, stroke);
      Text(x + 12, y + 4, "start", text);
      y += 20;
    };
    for (const std::string& series : series_) {
      row(ColorOf(series), ColorOf(series), series);
    }
    const bool any_hollow = std::any_of(
        plot_.points.begin(), plot_.points.end(), [](const PlotPoint& point) {
          return point.mark == PointMark::kHollow;
        });
    if (any_hollow) row("#ffffff", "#555555", "dominated");
  }

  const Plot& plot_;
  Scale x_, y_;
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

std::string XmlEscape(absl::string_view text) {
  std::string escaped;
  for (size_t i = 0; i < text.size();) {
    const size_t length = CharacterLength(text, i);
    if (length == 0) {
      absl::StrAppend(&escaped, "\xef\xbf\xbd");
      ++i;
      continue;
    }
    switch (text[i]) {
      case '&':
        absl::StrAppend(&escaped, "&amp;");
        break;
      case '<':
        absl::StrAppend(&escaped, "&lt;");
        break;
      case '>':
        absl::StrAppend(&escaped, "&gt;");
        break;
      case '"':
        absl::StrAppend(&escaped, "&quot;");
        break;
      case '\'':
        absl::StrAppend(&escaped, "&apos;");
        break;
      default:
        absl::StrAppend(&escaped, text.substr(i, length));
    }
    i += length;
  }
  return escaped;
}

absl::StatusOr<std::string> RenderSvg(const Plot& plot) {
  RETURN_IF_ERROR(CheckPlot(plot));
  return Drawing(plot).Render();
}

}  // namespace quantd
