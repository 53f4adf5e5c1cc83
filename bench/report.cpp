#include "bench/report.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace nibble::bench {
namespace {

std::string ratio_text(const Row& row, const std::string& name) {
  const auto found = row.ratios.find(name);
  return found == row.ratios.end() ? "" : three_digits(found->second.median);
}

std::string rate_text(double rate) { return rate == 0 ? "" : three_digits(rate); }

}  // namespace

std::string share_text(const Row& row) {
  if (row.ceiling.empty()) return "";
  const std::string range = fmt::format("{:.0f} % ({:.0f}-{:.0f}) of {}", row.share.median * 100, row.share.min * 100,
                                        row.share.max * 100, row.ceiling);
  return row.ceiling_suspect() ? range + ", ceiling suspect" : range;
}

std::string three_digits(double value) {
  if (!std::isfinite(value)) return "?";
  const double size = std::fabs(value);
  if (!(size > 0)) return "0";
  const int magnitude = static_cast<int>(std::floor(std::log10(size)));
  return fmt::format("{:.{}f}", value, std::clamp(2 - magnitude, 0, 6));
}

Table table_of(const std::vector<Row>& rows) {
  Table table{.columns = {{"kernel", false},
                          {"variant", false},
                          {"shape", false},
                          {"tokens"},
                          {"data", false},
                          {"numerics", false},
                          {"ms"},
                          {"±"},
                          {"n"},
                          {"ms net"},
                          {"ms device"},
                          {"GB/s"},
                          {"GFLOP/s"},
                          {"t_mem"},
                          {"t_f32"},
                          {"share", false}}};
  for (const Row& row : rows) {
    table.rows.push_back({row.kernel, row.variant, row.shape, row.tokens == 0 ? "" : fmt::format("{}", row.tokens),
                          row.data, row.numerics, three_digits(row.seconds.median * 1e3),
                          fmt::format("{:.0f} %", row.seconds.spread() * 100), fmt::format("{}", row.seconds.n),
                          rate_text(row.net_seconds * 1e3), rate_text(row.device_seconds * 1e3), rate_text(row.gbps()),
                          rate_text(row.gflops()), ratio_text(row, "t_mem"), ratio_text(row, "t_f32"),
                          share_text(row)});
  }
  // A column that says nothing takes no room.
  for (size_t c = table.columns.size(); c-- > 0;) {
    const bool empty =
        std::all_of(table.rows.begin(), table.rows.end(), [&](const auto& row) { return row[c].empty(); });
    if (!empty || table.rows.empty()) continue;
    table.columns.erase(table.columns.begin() + static_cast<ptrdiff_t>(c));
    for (auto& row : table.rows) row.erase(row.begin() + static_cast<ptrdiff_t>(c));
  }
  return table;
}

}  // namespace nibble::bench
