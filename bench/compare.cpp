#include "bench/compare.h"

#include <cmath>
#include <map>

#include <fmt/format.h>

#include "bench/report.h"

namespace nibble::bench {
namespace {

std::string short_key(Row row) {
  row.variant.clear();
  return row.key();
}

using Count = std::map<std::string, size_t>;

Count count_short(const std::vector<Row>& rows) {
  Count count;
  for (const Row& row : rows) ++count[short_key(row)];
  return count;
}

}  // namespace

double RowPair::time_ratio() const { return a.seconds.median == 0 ? 0 : b.seconds.median / a.seconds.median; }

double RowPair::noise() const { return std::hypot(a.seconds.spread(), b.seconds.spread()); }

double RowPair::share_ratio() const { return a.share.median == 0 ? 0 : b.share.median / a.share.median; }

bool RowPair::differs() const { return b.seconds.high < a.seconds.low || a.seconds.high < b.seconds.low; }

Comparison compare_rows(const std::vector<Row>& a, const std::vector<Row>& b) {
  const Count count_a = count_short(a);
  const Count count_b = count_short(b);
  const auto key_of = [&](const Row& row) {
    const std::string key = short_key(row);
    const auto in_a = count_a.find(key);
    const auto in_b = count_b.find(key);
    const bool one_each = in_a != count_a.end() && in_b != count_b.end() && in_a->second == 1 && in_b->second == 1;
    return one_each ? key : row.key();
  };
  std::map<std::string, const Row*> by_key;
  for (const Row& row : b) by_key[key_of(row)] = &row;
  Comparison result;
  for (const Row& row : a) {
    const auto found = by_key.find(key_of(row));
    if (found == by_key.end()) {
      result.only_a.push_back(row);
      continue;
    }
    result.both.push_back({row, *found->second});
    by_key.erase(found);
  }
  for (const Row& row : b) {
    const auto found = by_key.find(key_of(row));
    if (found != by_key.end() && found->second == &row) result.only_b.push_back(row);
  }
  return result;
}

Table table_of(const Comparison& comparison) {
  Table table{.columns = {{"row", false},
                          {"variant", false},
                          {"A ms"},
                          {"B ms"},
                          {"B/A"},
                          {"±"},
                          {"A share"},
                          {"B share"},
                          {"B/A by share"},
                          {"verdict", false}}};
  for (const RowPair& pair : comparison.both) {
    const double ratio = pair.time_ratio();
    const bool shares = pair.a.share.median > 0 && pair.b.share.median > 0;
    const auto percent = [&](const Row& row) { return shares ? fmt::format("{:.0f} %", row.share.median * 100) : ""; };
    const std::string variant =
        pair.a.variant == pair.b.variant ? pair.a.variant : pair.a.variant + " -> " + pair.b.variant;
    table.rows.push_back({short_key(pair.a), variant, three_digits(pair.a.seconds.median * 1e3),
                          three_digits(pair.b.seconds.median * 1e3), fmt::format("{:.3f}", ratio),
                          fmt::format("{:.0f} %", pair.noise() * 100), percent(pair.a), percent(pair.b),
                          shares ? fmt::format("{:.3f}", pair.share_ratio()) : "",
                          !pair.differs() ? "within the noise"
                          : ratio < 1     ? fmt::format("{:.2f} x faster", 1 / ratio)
                                          : fmt::format("{:.2f} x slower", ratio)});
  }
  return table;
}

std::vector<std::string> unmatched_lines(const Comparison& comparison, const std::string& a, const std::string& b) {
  std::vector<std::string> lines;
  for (const Row& row : comparison.only_a) lines.push_back(fmt::format("only in {}: {}", a, row.key()));
  for (const Row& row : comparison.only_b) lines.push_back(fmt::format("only in {}: {}", b, row.key()));
  return lines;
}

}  // namespace nibble::bench
