#include "bench/profile.h"

#include <algorithm>

#include <fmt/format.h>

#include "bench/report.h"
#include "bench/statistics.h"
#include "runtime/base/error.h"

namespace nibble::bench {
namespace {

constexpr double kWidth = 1100;
constexpr double kRow = 20;
constexpr double kLeast = 0.6;  // pixels; narrower bars cannot be seen

// Median of each dispatch over the steps.
std::vector<double> medians_of(const Steps& steps) {
  std::vector<double> medians;
  for (size_t i = 0; i < steps.front().size(); ++i) {
    std::vector<double> seconds;
    for (const auto& step : steps) {
      check(step.size() == steps.front().size(), "steps of {} and {} dispatches", step.size(), steps.front().size());
      seconds.push_back(step[i].seconds);
    }
    medians.push_back(summarise(seconds).median);
  }
  return medians;
}

std::vector<std::string> parts_of(const std::string& label) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= label.size();) {
    const size_t end = std::min(label.find('.', begin), label.size());
    parts.push_back(label.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

size_t depth_of(const ProfileNode& node) {
  size_t deepest = 0;
  for (const auto& [name, child] : node.children) deepest = std::max(deepest, depth_of(child));
  return deepest + 1;
}

void draw(const ProfileNode& node, const std::string& name, const std::string& path, double x, double y, double scale,
          double total, std::string& svg) {
  const double width = node.seconds * scale;
  if (width < kLeast) return;
  constexpr double kLetter = 6.3;
  const auto letters = static_cast<size_t>(std::max(0.0, (width - 6) / kLetter));
  const std::string shown = letters < 3 ? "" : name.substr(0, letters);
  svg += fmt::format(R"(<g><rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>)"
                     "<title>{}: {} ms, {:.1f} %</title>",
                     x, y, std::max(0.4, width - 0.5), kRow - 1, html_escaped(path), three_digits(node.seconds * 1e3),
                     100 * node.seconds / total);
  if (!shown.empty()) {
    svg += fmt::format(R"(<text class="bar" x="{:.1f}" y="{:.1f}">{}</text>)", x + 3, y + 14, html_escaped(shown));
  }
  svg += "</g>\n";
  double at = x;
  for (const auto& [child_name, child] : node.children) {
    draw(child, child_name, path.empty() ? child_name : path + "." + child_name, at, y + kRow, scale, total, svg);
    at += child.seconds * scale;
  }
}

}  // namespace

std::vector<KernelShare> shares_of(const Steps& steps) {
  check(!steps.empty(), "a profile of no step");
  const std::vector<double> medians = medians_of(steps);
  std::map<std::string, KernelShare> by_kernel;
  for (size_t i = 0; i < medians.size(); ++i) {
    const DispatchProfile& dispatch = steps.front()[i];
    KernelShare& share = by_kernel[dispatch.kernel];
    share.kernel = dispatch.kernel;
    ++share.dispatches;
    share.seconds += medians[i];
    share.cost.bytes += dispatch.cost.bytes;
    share.cost.flops += dispatch.cost.flops;
  }
  std::vector<KernelShare> shares;
  for (const auto& [name, share] : by_kernel) shares.push_back(share);
  std::stable_sort(shares.begin(), shares.end(),
                   [](const KernelShare& a, const KernelShare& b) { return a.seconds > b.seconds; });
  return shares;
}

Table table_of(const std::vector<KernelShare>& shares) {
  Table table{.columns = {{"kernel", false}, {"dispatches"}, {"ms"}, {"of the time"}, {"GB/s"}, {"GFLOP/s"}}};
  double total = 0;
  for (const KernelShare& share : shares) total += share.seconds;
  const auto rate = [](uint64_t work, double seconds) {
    return work == 0 || seconds == 0 ? "" : three_digits(static_cast<double>(work) / seconds / 1e9);
  };
  for (const KernelShare& share : shares) {
    table.rows.push_back({share.kernel, fmt::format("{}", share.dispatches), three_digits(share.seconds * 1e3),
                          fmt::format("{:.1f} %", 100 * share.seconds / total), rate(share.cost.bytes, share.seconds),
                          rate(share.cost.flops, share.seconds)});
  }
  return table;
}

ProfileNode tree_of(const Steps& steps) {
  check(!steps.empty(), "a profile of no step");
  const std::vector<double> medians = medians_of(steps);
  ProfileNode root;
  for (size_t i = 0; i < medians.size(); ++i) {
    ProfileNode* node = &root;
    node->seconds += medians[i];
    for (const std::string& part : parts_of(steps.front()[i].label)) {
      node = &node->children[part];
      node->seconds += medians[i];
    }
  }
  return root;
}

std::string flame_svg(const ProfileNode& root, const std::string& name) {
  if (!(root.seconds > 0)) return "";
  const double height = static_cast<double>(depth_of(root)) * kRow + 4;
  std::string svg = fmt::format(R"(<svg viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="{2}">)",
                                kWidth, height, html_escaped(name));
  svg += "\n";
  draw(root, name, "", 0, 2, kWidth / root.seconds, root.seconds, svg);
  return svg + "</svg>\n";
}

}  // namespace nibble::bench
