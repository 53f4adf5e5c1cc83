// What is made of repeated measurements: medians and ranges, never means, since noise on a shared machine is one-sided.
#pragma once

#include <cstddef>
#include <vector>

namespace nibble::bench {

struct Summary {
  size_t n = 0;
  double median = 0;
  double min = 0;
  double max = 0;
  double low = 0;   // lower quartile
  double high = 0;  // upper quartile

  // Half the distance between the quartiles as a fraction of the median: the noise that reports print.
  double spread() const { return median == 0 ? 0 : (high - low) / (2 * median); }
};

// All zero for no values.
Summary summarise(std::vector<double> values);

// The value below which a fraction `q` of the sorted values lies, interpolated. `sorted` is not empty.
double quantile(const std::vector<double>& sorted, double q);

}  // namespace nibble::bench
