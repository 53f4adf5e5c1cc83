// `nibble bench compare`: two files of rows side by side.
#pragma once

#include <string>
#include <vector>

#include "bench/row.h"
#include "bench/table.h"

namespace nibble::bench {

// A row that both files have. Rows are the same where kernel, shape, data, numerics and tokens are, and the variant too
// unless each file has but one of them.
struct RowPair {
  Row a;
  Row b;

  double time_ratio() const;   // b ÷ a; below 1 is faster
  double noise() const;        // of the ratio: half of both quartile distances, relative
  double share_ratio() const;  // b ÷ a; 0 where one has no share. Both were paired with a ceiling: drift cancels
  bool differs() const;        // the quartiles of the times do not overlap
};

struct Comparison {
  std::vector<RowPair> both;
  std::vector<Row> only_a;
  std::vector<Row> only_b;
};

Comparison compare_rows(const std::vector<Row>& a, const std::vector<Row>& b);

Table table_of(const Comparison& comparison);
// One line per row that only one file has.
std::vector<std::string> unmatched_lines(const Comparison& comparison, const std::string& a, const std::string& b);

}  // namespace nibble::bench
