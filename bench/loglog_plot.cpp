#include "bench/loglog_plot.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "bench/report.h"
#include "bench/table.h"

namespace nibble::bench {
namespace {

constexpr double kWidth = 960;
constexpr double kHeight = 520;
constexpr double kLegend = 240;

// Distinct in light and dark, and for most who see fewer colours; dashes tell apart what repeats one.
constexpr std::array<const char*, 8> kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                 "#e69f00", "#56b4e9", "#7f7f7f", "#b8a800"};
constexpr std::array<const char*, 3> kDashes = {"none", "7 4", "2 3"};

// Maps values to pixels by their logarithm; covers whole decades.
struct LogAxis {
  double low;  // exponents of ten
  double high;
  double from;  // pixels
  double to;

  double at(double value) const { return from + (std::log10(value) - low) / (high - low) * (to - from); }
};

LogAxis axis_over(const std::vector<double>& values, double from, double to) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const double low = std::floor(std::log10(*least));
  return {.low = low, .high = std::max(low + 1, std::ceil(std::log10(*most))), .from = from, .to = to};
}

bool is_drawn(const std::pair<double, double>& point) { return point.first > 0 && point.second > 0; }

std::string decade_text(double power) {
  return power >= -3 && power <= 6 ? fmt::format("{:.7g}", std::pow(10, power)) : fmt::format("1e{:g}", power);
}

std::string grid(const LogAxis& x, const LogAxis& y) {
  std::string svg;
  for (double power = x.low; power <= x.high; ++power) {
    const double at = x.at(std::pow(10, power));
    svg += fmt::format(R"(<line class="grid" x1="{0:.1f}" y1="{1}" x2="{0:.1f}" y2="{2}"/>)", at, y.from, y.to);
    svg +=
        fmt::format(R"(<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>)", at, y.from + 18, decade_text(power));
  }
  for (double power = y.low; power <= y.high; ++power) {
    const double at = y.at(std::pow(10, power));
    svg += fmt::format(R"(<line class="grid" x1="{1}" y1="{0:.1f}" x2="{2}" y2="{0:.1f}"/>)", at, x.from, x.to);
    svg +=
        fmt::format(R"(<text x="{}" y="{:.1f}" text-anchor="end">{}</text>)", x.from - 6, at + 4, decade_text(power));
  }
  return svg + "\n";
}

std::string line_svg(const LogLine& line, size_t number, const LogAxis& x, const LogAxis& y) {
  const char* colour = kColours[number % kColours.size()];
  const char* dash = kDashes[number / kColours.size() % kDashes.size()];
  std::string path;
  std::string marks;
  for (const auto& point : line.points) {
    if (!is_drawn(point)) continue;
    const double at_x = x.at(point.first);
    const double at_y = y.at(point.second);
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", at_x, at_y);
    marks += fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="3.5" fill="{}"><title>{}: {:g}, {}</title></circle>)",
                         at_x, at_y, colour, html_escaped(line.name), point.first, three_digits(point.second));
  }
  if (path.empty()) return "";
  const double legend_y = 44 + 20 * static_cast<double>(number);
  return fmt::format(R"(<path d="{0}" fill="none" stroke="{1}" stroke-width="2" stroke-dasharray="{2}"/>{3})"
                     R"(<path d="M{4} {5}h26" stroke="{1}" stroke-width="2" stroke-dasharray="{2}"/>)"
                     R"(<text x="{6}" y="{7}">{8}</text>)",
                     path, colour, dash, marks, kWidth - kLegend + 16, legend_y, kWidth - kLegend + 48, legend_y + 4,
                     html_escaped(line.name)) +
         "\n";
}

}  // namespace

std::string to_svg(const LogLogPlot& plot) {
  std::vector<double> xs;
  std::vector<double> ys;
  for (const LogLine& line : plot.lines) {
    for (const auto& point : line.points) {
      if (!is_drawn(point)) continue;
      xs.push_back(point.first);
      ys.push_back(point.second);
    }
  }
  if (xs.empty()) return "";
  const LogAxis x = axis_over(xs, 70, kWidth - kLegend);
  const LogAxis y = axis_over(ys, kHeight - 50, 40);
  std::string svg = fmt::format(
      R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img">)"
      "\n<title>{2}</title>\n<style>text{{font:13px sans-serif;fill:#333}}.grid{{stroke:#ccc}}"
      "@media(prefers-color-scheme:dark){{text{{fill:#ccc}}.grid{{stroke:#444}}}}</style>\n",
      kWidth, kHeight, html_escaped(plot.title));
  svg += fmt::format(R"(<text x="70" y="22">{}</text>)", html_escaped(plot.title)) + grid(x, y);
  for (size_t i = 0; i < plot.lines.size(); ++i) svg += line_svg(plot.lines[i], i, x, y);
  svg += fmt::format(R"(<text x="{}" y="{}" text-anchor="middle">{}</text>)", (x.from + x.to) / 2, kHeight - 10,
                     html_escaped(plot.x_name));
  svg += fmt::format(R"svg(<text x="16" y="{0}" transform="rotate(-90 16 {0})" text-anchor="middle">{1}</text>)svg",
                     kHeight / 2, html_escaped(plot.y_name));
  return svg + "\n</svg>\n";
}

}  // namespace nibble::bench
