#include "client/svg_plot.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/label_places.h"
#include "client/svg_text.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quantd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Why `xml` is not well formed, or "". What plots need of XML 1.0: a
// declaration, elements that nest, attributes in double quotes, the five
// predefined entities, one root.
std::string XmlFault(absl::string_view xml) {
  std::vector<std::string> open;
  int roots = 0;
  const auto bad_text = [](absl::string_view text) {
    for (size_t at = text.find('&'); at != absl::string_view::npos;
         at = text.find('&', at + 1)) {
      const absl::string_view rest = text.substr(at);
      if (!absl::StartsWith(rest, "&amp;") && !absl::StartsWith(rest, "&lt;") &&
          !absl::StartsWith(rest, "&gt;") &&
          !absl::StartsWith(rest, "&quot;") &&
          !absl::StartsWith(rest, "&apos;")) {
        return true;
      }
    }
    for (const char c : text) {
      if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') {
        return true;
      }
    }
    return text.find('<') != absl::string_view::npos;
  };
  constexpr absl::string_view kDeclaration =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  if (!absl::StartsWith(xml, kDeclaration)) return "no declaration";
  xml.remove_prefix(kDeclaration.size());
  while (!xml.empty()) {
    const size_t less = std::min(xml.find('<'), xml.size());
    const absl::string_view text = xml.substr(0, less);
    if (bad_text(text)) return absl::StrCat("text: ", text);
    if (open.empty() && !absl::StripAsciiWhitespace(text).empty()) {
      return absl::StrCat("text outside the root: ", text);
    }
    xml.remove_prefix(less);
    if (xml.empty()) break;
    const size_t end = xml.find('>');
    if (end == absl::string_view::npos) return "a tag is not closed";
    absl::string_view tag = xml.substr(1, end - 1);
    xml.remove_prefix(end + 1);
    if (absl::StartsWith(tag, "/")) {
      if (open.empty() || open.back() != tag.substr(1)) {
        return absl::StrCat("unexpected end: ", tag);
      }
      open.pop_back();
      continue;
    }
    const bool is_empty = absl::EndsWith(tag, "/");
    if (is_empty) tag.remove_suffix(1);
    const size_t name_end = std::min(tag.find(' '), tag.size());
    const std::string name(tag.substr(0, name_end));
    if (open.empty() && ++roots > 1) return "two roots";
    absl::string_view attributes = tag.substr(name_end);
    while (
        !(attributes = absl::StripLeadingAsciiWhitespace(attributes)).empty()) {
      const size_t quote = attributes.find("=\"");
      if (quote == absl::string_view::npos || quote == 0) {
        return absl::StrCat("attribute: ", attributes);
      }
      const size_t close = attributes.find('"', quote + 2);
      if (close == absl::string_view::npos) return "quotes";
      if (bad_text(attributes.substr(quote + 2, close - quote - 2))) {
        return absl::StrCat("value: ", attributes);
      }
      attributes.remove_prefix(close + 1);
    }
    if (!is_empty) open.push_back(name);
  }
  return open.empty() && roots == 1 ? "" : "an element is left open";
}

size_t Count(absl::string_view text, absl::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != absl::string_view::npos;
       at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

Plot Example() {
  Plot plot;
  plot.title = "m: KL by bits per weight";
  plot.note = "bars: one standard error";
  plot.x.label = "bits per weight";
  plot.y.label = "mean KL";
  plot.points = {{2.25, 0.9, 0.05, "gptq bits=2", "gptq", PointMark::kOnFront},
                 {3.25, 0.2, 0.02, "gptq bits=3", "gptq", PointMark::kOnFront},
                 {3.25, 0.4, 0.02, "rtn bits=3", "rtn", PointMark::kHollow},
                 {3.5, 0.21, 0.02, "rtn bits=4", "rtn", PointMark::kFilled}};
  return plot;
}

std::string Svg(const Plot& plot) {
  const auto svg = RenderSvg(plot);
  EXPECT_TRUE(svg.ok()) << svg.status();
  return svg.ok() ? *svg : "";
}

TEST(SvgPlotTest, TheCheckerFindsFaults) {
  const std::string head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  EXPECT_EQ(XmlFault(head + "<a b=\"c\"><d/>&amp;</a>\n"), "");
  for (const char* wrong :
       {"<a>", "<a></b>", "<a/><b/>", "<a b=c/>", "<a b=\"<\"/>", "<a>&</a>",
        "<a>&nbsp;</a>", "text<a/>", "<a b=\"c/>", "<a>\x01</a>"}) {
    EXPECT_NE(XmlFault(head + wrong), "") << wrong;
  }
}

TEST(SvgPlotTest, PlotsAreWellFormedAndHaveAllParts) {
  const std::string svg = Svg(Example());
  EXPECT_EQ(XmlFault(svg), "");
  EXPECT_THAT(svg, HasSubstr("<title>m: KL by bits per weight</title>"));
  EXPECT_THAT(svg, HasSubstr(">bits per weight</text>"));
  EXPECT_THAT(svg, HasSubstr(">mean KL</text>"));
  EXPECT_THAT(svg, HasSubstr("rtn bits=3: 3.25, 0.4 +/- 0.02"));
  // Four points, a row a series, and one that says what hollow means.
  EXPECT_EQ(Count(svg, "<circle"), 7u);
  EXPECT_EQ(Count(svg, "fill=\"#ffffff\" stroke"), 2u);
  EXPECT_EQ(Count(svg, "<polyline"), 1u);
  EXPECT_THAT(svg, Not(HasSubstr("http://www.w3.org/1999/xlink")));
  EXPECT_EQ(svg, Svg(Example()));
}

TEST(SvgPlotTest, TheFrontIsDrawnFromLeftToRight) {
  Plot plot = Example();
  std::swap(plot.points[0], plot.points[1]);
  const std::string svg = Svg(plot);
  const size_t at = svg.find("points=\"") + 8;
  const double first = std::stod(svg.substr(at));
  const double second = std::stod(svg.substr(svg.find(' ', at)));
  EXPECT_LT(first, second);
}

TEST(SvgPlotTest, LabelsAreEscaped) {
  Plot plot = Example();
  plot.title = "a<b>&\"c'\x01\xff";
  plot.x.label = "</text><script>";
  plot.points[0].label = "]]>&amp;";
  plot.points[0].series = "<&>";
  const std::string svg = Svg(plot);
  EXPECT_EQ(XmlFault(svg), "");
  EXPECT_THAT(svg, HasSubstr("a&lt;b&gt;&amp;&quot;c&apos;\xef\xbf\xbd"
                             "\xef\xbf\xbd<"));
  EXPECT_THAT(svg, Not(HasSubstr("<script>")));
  EXPECT_THAT(svg, HasSubstr("]]&gt;&amp;amp;"));
}

TEST(SvgPlotTest, ExtremePlotsAreWellFormedToo) {
  Plot plot;
  plot.points = {{3, 5, 0, "one", "s", PointMark::kOnFront}};
  EXPECT_EQ(XmlFault(Svg(plot)), "");
  plot.y.logarithmic = true;
  plot.x.logarithmic = true;
  EXPECT_EQ(XmlFault(Svg(plot)), "");
  plot.points.push_back({3e9, 5e-9, 1, "two", "s", PointMark::kHollow});
  const std::string svg = Svg(plot);
  EXPECT_EQ(XmlFault(svg), "");
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
  plot = Example();
  plot.reference_y = 0;
  EXPECT_THAT(Svg(plot), HasSubstr("stroke-dasharray"));
  plot.points = {{0, 0, 0, "zero", "s"}, {1e99, -1e99, 1e99, "far", "s"}};
  EXPECT_EQ(XmlFault(Svg(plot)), "");
}

// Boxes of the texts of a picture, by their anchors and estimated widths.
std::vector<std::pair<std::string, PictureBox>> TextBoxes(
    const std::string& svg) {
  std::vector<std::pair<std::string, PictureBox>> boxes;
  const auto attribute = [](absl::string_view tag, absl::string_view name) {
    const std::string key = absl::StrCat(" ", name, "=\"");
    const size_t at = tag.find(key);
    if (at == absl::string_view::npos) return std::string();
    tag.remove_prefix(at + key.size());
    return std::string(tag.substr(0, tag.find('"')));
  };
  for (size_t at = svg.find("<text"); at != std::string::npos;
       at = svg.find("<text", at + 1)) {
    const size_t open = svg.find('>', at), close = svg.find("</text>", at);
    const std::string tag = svg.substr(at, open - at);
    const std::string text = svg.substr(open + 1, close - open - 1);
    if (absl::StrContains(tag, "rotate")) continue;
    const std::string own_size = attribute(tag, "font-size");
    const double size = own_size.empty() ? 12 : std::stod(own_size);
    const double width = TextWidth(text, size);
    const std::string anchor = attribute(tag, "text-anchor");
    const double x = std::stod(attribute(tag, "x"));
    const double y = std::stod(attribute(tag, "y"));
    const double left = anchor == "start" ? x
                        : anchor == "end" ? x - width
                                          : x - width / 2;
    boxes.push_back(
        {text, PictureBox{left, y - 0.8 * size, left + width, y + 0.2 * size}});
  }
  return boxes;
}

// As many points as a sweep of eight methods has, with names as they have them.
TEST(SvgPlotTest, TextsOfACrowdedPlotAreWholeAndApart) {
  Plot plot = Example();
  plot.points.clear();
  const char* methods[] = {"rtn",
                           "gptq",
                           "awq",
                           "hqq",
                           "vptq",
                           "quantease-outliers",
                           "omniquant-clipping",
                           "autoround-end-to-end",
                           "squeezellm"};
  for (int m = 0; m < 9; ++m) {
    for (int bits = 2; bits <= 4; ++bits) {
      PlotPoint point;
      point.x = bits + 0.25 + 0.02 * m;
      point.x_error = 0.01 * m;
      point.y = std::exp(-1.4 * bits - 0.1 * m);
      point.y_error = point.y / 20;
      point.series = methods[m];
      point.label = absl::StrCat(methods[m], " bits=", bits, " group_size=64");
      point.mark = m > 5 ? PointMark::kOnFront : PointMark::kHollow;
      plot.points.push_back(point);
    }
  }
  for (const bool logarithmic : {false, true}) {
    plot.y.logarithmic = logarithmic;
    const std::string svg = Svg(plot);
    EXPECT_EQ(XmlFault(svg), "");
    const auto boxes = TextBoxes(svg);
    int labels = 0;
    for (size_t i = 0; i < boxes.size(); ++i) {
      const auto& [text, box] = boxes[i];
      labels += absl::StrContains(text, "group_size") ? 1 : 0;
      EXPECT_GE(box.left, 0) << text;
      EXPECT_LE(box.right, 800) << text;
      EXPECT_GE(box.top, 0) << text;
      EXPECT_LE(box.bottom, 480) << text;
      for (size_t k = 0; k < i; ++k) {
        EXPECT_FALSE(box.Overlaps(boxes[k].second))
            << text << " and " << boxes[k].first;
      }
    }
    EXPECT_GE(labels, 5);
  }
}

TEST(SvgPlotTest, LongTextsAreCutAndLongLegendsMakeRoom) {
  Plot plot = Example();
  plot.title = std::string(300, 'w');
  plot.points[0].label = std::string(300, 'x');
  for (int i = 0; i < 40; ++i) {
    plot.points.push_back({3, 0.5, 0, "p", absl::StrCat("method-", i)});
  }
  plot.points.back().series = std::string(100, 'm');
  const std::string svg = Svg(plot);
  EXPECT_EQ(XmlFault(svg), "");
  const size_t at = svg.find("height=\"") + 8;
  const double height = std::stod(svg.substr(at));
  EXPECT_GT(height, 42 * 20);
  for (const auto& [text, box] : TextBoxes(svg)) {
    EXPECT_LE(box.right, 800) << text;
    EXPECT_LE(box.bottom, height) << text;
  }
  // Whole in the title of the picture and of the mark.
  EXPECT_THAT(svg, HasSubstr("<title>" + plot.title + "</title>"));
  EXPECT_THAT(svg, HasSubstr("<title>" + plot.points[0].label + ": "));
  // Colours repeat after seven series, with another shape.
  EXPECT_THAT(svg, HasSubstr("height=\"8\" fill=\"#0072b2\""));
  EXPECT_THAT(svg, HasSubstr("<polygon"));
}

TEST(SvgPlotTest, BothAxesCanHaveErrors) {
  Plot plot = Example();
  const size_t lines = Count(Svg(plot), "<line");
  plot.points[0].x_error = 0.5;
  const std::string svg = Svg(plot);
  EXPECT_THAT(svg, HasSubstr("gptq bits=2: 2.25 +/- 0.5, 0.9 +/- 0.05"));
  EXPECT_GE(Count(svg, "<line"), lines + 3);
}

TEST(SvgPlotTest, ValuesThatHardlyDifferHaveDifferentTicks) {
  Plot plot;
  plot.points = {{2048.1234567, 1, 0, "a", "s"},
                 {2048.1234568, 2, 0, "b", "s"}};
  const std::string svg = Svg(plot);
  std::vector<std::string> texts;
  for (const auto& [text, box] : TextBoxes(svg)) texts.push_back(text);
  std::sort(texts.begin(), texts.end());
  texts.erase(std::remove(texts.begin(), texts.end(), ""), texts.end());
  EXPECT_EQ(std::unique(texts.begin(), texts.end()), texts.end());
}

TEST(SvgPlotTest, WhatCannotBeDrawnIsRefused) {
  EXPECT_FALSE(RenderSvg(Plot()).ok());
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::nan("");
  for (const PlotPoint& wrong :
       std::vector<PlotPoint>{{nan, 1, 0, "p", "s"},
                              {1, nan, 0, "p", "s"},
                              {1, infinity, 0, "p", "s"},
                              {1, 1, nan, "p", "s"},
                              {1, 1, -1, "p", "s"},
                              {1, 1, 0, "p", "s", PointMark::kHollow, -1},
                              {1, 1, 0, "p", "s", PointMark::kHollow, nan}}) {
    Plot plot = Example();
    plot.points.push_back(wrong);
    EXPECT_TRUE(absl::IsInvalidArgument(RenderSvg(plot).status()));
  }
  Plot plot = Example();
  plot.y.logarithmic = true;
  plot.points[0].y = 0;
  const auto status = RenderSvg(plot).status();
  EXPECT_THAT(status.message(), HasSubstr("gptq bits=2"));
  plot = Example();
  plot.reference_y = std::nan("");
  EXPECT_FALSE(RenderSvg(plot).ok());
}

TEST(SvgPlotTest, TicksAreRoundNumbersInRange) {
  EXPECT_THAT(LinearTicks(0, 10, 5), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(LinearTicks(-0.3, 0.3, 3), ElementsAre(-0.2, 0, 0.2));
  EXPECT_THAT(LinearTicks(2.1, 4.4, 4), ElementsAre(3, 4));
  EXPECT_THAT(LogarithmicTicks(0.5, 2000), ElementsAre(1, 10, 100, 1000));
  EXPECT_THAT(LogarithmicTicks(0.9, 12), ElementsAre(1, 2, 5, 10));
  EXPECT_GE(LogarithmicTicks(1.1, 1.2).size(), 2u);
}

}  // namespace
}  // namespace quantd::test
