// Lines over logarithmic axes as an SVG that stands alone.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace nibble::bench {

struct LogLine {
  std::string name;
  std::vector<std::pair<double, double>> points;  // positive, ascending in x
};

struct LogLogPlot {
  std::string title;
  std::string x_name;
  std::string y_name;
  std::vector<LogLine> lines;
};

// Grid lines at powers of ten, a mark with its values at every point, names in a legend. Points that are not positive
// are left out; "" without any.
std::string to_svg(const LogLogPlot& plot);

}  // namespace nibble::bench
