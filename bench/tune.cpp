#include "bench/tune.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

namespace nibble::bench {
namespace {

// Median seconds by variant, then by shape.
using Times = std::map<std::string, std::map<std::string, double>>;

// Of one kernel and number of tokens. Rows of cold data replace those of warm data.
Times times_of(std::span<const Row> rows, const std::string& kernel, uint32_t tokens) {
  Times times;
  for (const bool cold : {false, true}) {
    for (const Row& row : rows) {
      if (row.kernel != kernel || row.tokens != tokens || (row.data == "cold") != cold) continue;
      times[row.variant][row.shape] = row.seconds.median;
    }
  }
  return times;
}

// Sums over the shapes that all variants have.
std::map<std::string, double> comparable_sums(const Times& times) {
  std::map<std::string, double> sums;
  if (times.empty()) return sums;
  for (const auto& entry : times.begin()->second) {
    const std::string& shape = entry.first;
    const bool everywhere = std::all_of(times.begin(), times.end(),
                                        [&](const auto& by_variant) { return by_variant.second.contains(shape); });
    for (const auto& [variant, by_shape] : times) sums[variant] += everywhere ? by_shape.at(shape) : 0;
  }
  return sums;
}

struct Fastest {
  std::string variant;
  double gain = 1;
};

Fastest fastest_of(const std::map<std::string, double>& sums, const std::string& default_variant) {
  const auto expected = sums.find(default_variant);
  if (expected == sums.end() || expected->second == 0) return {default_variant};
  const auto best =
      std::min_element(sums.begin(), sums.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  const double gain = expected->second / best->second;
  return gain >= kWorthwhileGain ? Fastest{best->first, gain} : Fastest{default_variant};
}

}  // namespace

std::vector<TuneChoice> fastest_variants(std::span<const Row> rows, const DefaultVariant& default_variant) {
  std::map<std::string, std::set<uint32_t>> measured;
  for (const Row& row : rows) measured[row.kernel].insert(row.tokens);
  std::vector<TuneChoice> choices;
  for (const auto& [kernel, token_counts] : measured) {
    bool changed = false;
    std::string current;  // what the rows so far give
    for (const uint32_t tokens : token_counts) {
      const std::string usual = default_variant(kernel, tokens);
      const Fastest fastest = fastest_of(comparable_sums(times_of(rows, kernel, tokens)), usual);
      const std::string before = changed ? current : usual;
      if (fastest.variant == before) continue;
      choices.push_back({kernel, tokens, fastest.variant, fastest.gain});
      current = fastest.variant;
      changed = true;
    }
  }
  return choices;
}

std::string tuning_line(const TuneChoice& choice, const std::string& driver) {
  return fmt::format(R"({{"{}", "", "{}", {}, "{}"}},)", driver, choice.kernel, choice.min_rows, choice.variant);
}

}  // namespace nibble::bench
