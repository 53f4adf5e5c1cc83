#include "bench/html.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "bench/report.h"
#include "runtime/base/output_file.h"

namespace nibble::bench {
namespace {

constexpr std::string_view kStyle = R"(
:root { --bg: #ffffff; --fg: #1b1f24; --dim: #5b6470; --line: #d5dae1;
  --dot: #2563eb; --roof: #b45309; --bar: #f3cfa0; }
@media (prefers-color-scheme: dark) {
  :root { --bg: #14171b; --fg: #e6e9ed; --dim: #9aa4b0; --line: #343b44;
    --dot: #7aa5ff; --roof: #f0a94b; --bar: #6b4a1f; }
}
body { background: var(--bg); color: var(--fg); font: 14px/1.45 system-ui, sans-serif; margin: 2em auto;
  max-width: 1200px; padding: 0 1em; }
h1 { font-size: 1.4em; } h2 { font-size: 1.1em; margin-top: 2em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 2px 9px; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
th { color: var(--dim); font-weight: 600; } .n { text-align: right; }
svg { max-width: 100%; height: auto; } svg text { fill: var(--dim); font-size: 11px; }
svg .axis { stroke: var(--line); } svg .roof { stroke: var(--roof); fill: none; stroke-width: 1.5; }
svg rect.bar { fill: var(--bar); } svg rect.bar:hover { fill: var(--roof); } svg text.bar { fill: var(--fg); }
svg .dot { fill: var(--dot); fill-opacity: 0.75; } svg .warm { fill: none; stroke: var(--dot); }
)";

// A logarithmic axis from 10^low to 10^high onto [from, to].
struct Axis {
  double low = 0;
  double high = 1;
  double from = 0;
  double to = 1;

  double at(double value) const { return from + (std::log10(value) - low) / (high - low) * (to - from); }
};

Axis axis_over(double least, double most, double from, double to) {
  const double low = std::floor(std::log10(least));
  return {.low = low, .high = std::max(low + 1, std::ceil(std::log10(most))), .from = from, .to = to};
}

double intensity(const Row& row) { return static_cast<double>(row.flops) / static_cast<double>(row.bytes); }

// The median of every ceiling that rows were measured against, GB/s or GFLOP/s.
std::map<std::string, double> ceilings_of(const std::vector<Row>& rows) {
  std::map<std::string, std::vector<double>> values;
  for (const Row& row : rows) {
    if (!row.ceiling.empty() && row.ceiling_value > 0) values[row.ceiling].push_back(row.ceiling_value);
  }
  std::map<std::string, double> result;
  for (const auto& [name, list] : values) result[name] = summarise(list).median;
  return result;
}

std::string grid_lines(const Axis& x, const Axis& y) {
  std::string svg;
  for (double power = x.low; power <= x.high; ++power) {
    const double at = x.at(std::pow(10, power));
    svg += fmt::format(R"(<line class="axis" x1="{0:.1f}" y1="{1}" x2="{0:.1f}" y2="{2}"/>)", at, y.from, y.to);
    svg += fmt::format(R"(<text x="{:.1f}" y="{}" text-anchor="middle">{:g}</text>)", at, y.from + 16,
                       std::pow(10, power));
  }
  for (double power = y.low; power <= y.high; ++power) {
    const double at = y.at(std::pow(10, power));
    svg += fmt::format(R"(<line class="axis" x1="{1}" y1="{0:.1f}" x2="{2}" y2="{0:.1f}"/>)", at, x.from, x.to);
    svg += fmt::format(R"(<text x="{}" y="{:.1f}" text-anchor="end">{:g}</text>)", x.from - 6, at + 4,
                       std::pow(10, power));
  }
  return svg + "\n";
}

bool is_bandwidth(const std::string& ceiling) { return ceiling == "read" || ceiling == "cache"; }

// Bandwidths are slopes, cut where they leave the plot; multiply-adds are level, from where reading no longer binds.
std::string roofs(const std::map<std::string, double>& ceilings, const Axis& x, const Axis& y) {
  std::string svg;
  const double left = std::pow(10, x.low);
  const double right = std::pow(10, x.high);
  const double top = std::pow(10, y.high);
  const double bottom = std::pow(10, y.low);
  const auto add = [&](double from_x, double from_y, double to_x, double to_y, const std::string& text) {
    svg += fmt::format(R"(<path class="roof" d="M{:.1f} {:.1f}L{:.1f} {:.1f}"/>)", from_x, from_y, to_x, to_y);
    const bool level = from_y == to_y;
    svg += fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="end">{}</text>)", to_x - (level ? 4 : 24),
                       to_y + (level ? -4 : 12), text);
  };
  const auto read = ceilings.find("read");
  for (const auto& [name, rate] : ceilings) {
    if (is_bandwidth(name)) {
      const double first = std::max(left, bottom / rate);
      const double last = std::min(right, top / rate);
      if (first >= last) continue;
      add(x.at(first), y.at(rate * first), x.at(last), y.at(rate * last), fmt::format("{} {:.1f} GB/s", name, rate));
    } else if (rate >= bottom && rate <= top) {
      const double first = read == ceilings.end() ? left : std::clamp(rate / read->second, left, right);
      add(x.at(first), y.at(rate), x.at(right), y.at(rate), fmt::format("{} {:.0f} GFLOP/s", name, rate));
    }
  }
  return svg + "\n";
}

}  // namespace

std::string html_page(const std::string& title, const std::vector<HtmlSection>& sections) {
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\n"
      "<title>{0}</title>\n<style>{1}</style></head>\n<body>\n<h1>{0}</h1>\n",
      html_escaped(title), kStyle);
  for (const HtmlSection& section : sections) {
    if (section.body.empty()) continue;
    page += fmt::format("<h2>{}</h2>\n<div class=\"scroll\">\n{}</div>\n", html_escaped(section.title), section.body);
  }
  return page + "</body></html>\n";
}

std::string roofline_svg(const std::vector<Row>& rows) {
  constexpr double kWidth = 900;
  constexpr double kHeight = 460;
  std::vector<Row> dots;
  std::copy_if(rows.begin(), rows.end(), std::back_inserter(dots),
               [](const Row& row) { return row.bytes > 0 && row.flops > 0 && row.seconds.median > 0; });
  if (dots.empty()) return "";
  const std::map<std::string, double> ceilings = ceilings_of(rows);
  double least_x = intensity(dots.front());
  double most_x = least_x;
  double least_y = dots.front().gflops();
  double most_y = least_y;
  for (const Row& row : dots) {
    least_x = std::min(least_x, intensity(row));
    most_x = std::max(most_x, intensity(row));
    least_y = std::min(least_y, row.gflops());
    most_y = std::max(most_y, row.gflops());
  }
  for (const auto& [name, rate] : ceilings) {
    if (!is_bandwidth(name)) most_y = std::max(most_y, rate);
  }
  const Axis x = axis_over(least_x, most_x * 1.01, 60, kWidth - 20);
  const Axis y = axis_over(least_y, most_y * 1.01, kHeight - 50, 20);
  std::string svg = fmt::format(
      R"(<svg viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="roofline">)", kWidth, kHeight);
  svg += "\n" + grid_lines(x, y) + roofs(ceilings, x, y);
  for (const Row& row : dots) {
    svg += fmt::format(
        R"(<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="4"><title>{}: {} GFLOP/s, {} GB/s</title></circle>)",
        row.data == "warm" ? "warm" : "dot", x.at(intensity(row)), y.at(row.gflops()), html_escaped(row.key()),
        three_digits(row.gflops()), three_digits(row.gbps()));
    svg += "\n";
  }
  svg +=
      fmt::format(R"(<text x="{}" y="{}" text-anchor="middle">operations per byte</text>)", kWidth / 2, kHeight - 12);
  svg += fmt::format(R"svg(<text x="14" y="{0}" transform="rotate(-90 14 {0})" text-anchor="middle">GFLOP/s</text>)svg",
                     kHeight / 2);
  return svg + "\n</svg>\n<p>Filled: cold data, from memory. Hollow: warm data. Lines: measured ceilings.</p>\n";
}

std::string rows_page(const std::vector<Row>& rows) {
  std::vector<std::string> devices;
  for (const Row& row : rows) {
    const std::string name = fmt::format("{} ({})", row.device, row.driver);
    if (std::find(devices.begin(), devices.end(), name) == devices.end()) devices.push_back(name);
  }
  std::vector<HtmlSection> sections;
  for (const std::string& device : devices) {
    std::vector<Row> own;
    std::copy_if(rows.begin(), rows.end(), std::back_inserter(own),
                 [&](const Row& row) { return fmt::format("{} ({})", row.device, row.driver) == device; });
    sections.push_back({device, roofline_svg(own) + to_html(table_of(own))});
  }
  return html_page("nibble bench", sections);
}

void write_text(const std::string& path, const std::string& text) { write_output(path, text); }

}  // namespace nibble::bench
