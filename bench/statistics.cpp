#include "bench/statistics.h"

#include <algorithm>
#include <cmath>

namespace nibble::bench {

double quantile(const std::vector<double>& sorted, double q) {
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(std::floor(at));
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - static_cast<double>(below));
}

Summary summarise(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {.n = values.size(),
          .median = quantile(values, 0.5),
          .min = values.front(),
          .max = values.back(),
          .low = quantile(values, 0.25),
          .high = quantile(values, 0.75)};
}

}  // namespace nibble::bench
