#include "tools/conformance/reduce.h"

#include <algorithm>

#include <fmt/format.h>

#include "tools/conformance/plan.h"

namespace nibble::conformance {
namespace {

// Values below `value` to try, the smallest first: one, two, three, powers of two around what kernels cut by, one less.
std::vector<uint32_t> smaller_values(uint32_t value, uint32_t multiple) {
  std::vector<uint32_t> values;
  for (uint32_t units = 1; units * multiple < value; units = units < 3 ? units + 1 : (units == 3 ? 4 : units * 2)) {
    values.push_back(units * multiple);
    // Just past a power of two is where the last tile is nearly empty.
    if (units >= 8 && (units + 1) * multiple < value) values.push_back((units + 1) * multiple);
  }
  const uint32_t one_less = (value - 1) / multiple * multiple;
  if (one_less > 0 && std::ranges::find(values, one_less) == values.end()) values.push_back(one_less);
  return values;
}

std::string describe(const std::vector<CaseSize>& sizes, const std::vector<uint32_t>& values) {
  std::string text;
  for (size_t i = 0; i < sizes.size(); ++i) {
    text += fmt::format("{}{}={}", i == 0 ? "" : ",", sizes[i].name, values[i]);
  }
  return text;
}

class Reduction {
 public:
  Reduction(Row& row, const RowRun& run, Verdict verdict) : row_(row), run_(run), verdict_(verdict) {}

  // Whether the row fails as it did with one size changed, which it then keeps.
  bool lower(size_t size, uint32_t value) {
    Row smaller = row_;
    smaller.sizes[size] = value;
    if (run_(smaller, /*on_host=*/true).verdict != Verdict::kPass) return false;
    CaseResult result = run_(smaller, /*on_host=*/false);
    if (result.verdict != verdict_) return false;
    row_.sizes = std::move(smaller.sizes);
    row_.result = std::move(result);
    return true;
  }

 private:
  Row& row_;
  const RowRun& run_;
  Verdict verdict_;
};

}  // namespace

void reduce(Row& row, const RowRun& run) {
  const std::vector<CaseSize> sizes = case_of(find_kernel_or_probe(row.kernel), row).sizes;
  if (sizes.empty()) return;
  const Verdict verdict = row.result.verdict;
  if (run(row, /*on_host=*/false).verdict != verdict || run(row, /*on_host=*/true).verdict != Verdict::kPass) return;
  for (const CaseSize& size : sizes) row.sizes.push_back(size.value);
  Reduction reduction(row, run, verdict);
  for (bool is_smaller = true; is_smaller;) {
    is_smaller = false;
    for (size_t i = 0; i < sizes.size(); ++i) {
      for (const uint32_t value : smaller_values(row.sizes[i], sizes[i].multiple)) {
        if (!reduction.lower(i, value)) continue;
        is_smaller = true;
        break;
      }
    }
  }
  row.smallest = describe(sizes, row.sizes);
}

}  // namespace nibble::conformance
