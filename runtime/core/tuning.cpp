#include "runtime/core/tuning.h"

#include <array>
#include <tuple>

namespace nibble {
namespace {

// The closing row names no driver, so that the table is an array even where nothing is tuned.
constexpr auto kTable = std::to_array<TuningRow>({
#include "runtime/core/tuning.inc"
    TuningRow{},
});

}  // namespace

std::span<const TuningRow> tuning_table() { return std::span(kTable).first(kTable.size() - 1); }

std::string_view tuned_variant(std::string_view kernel, const DeviceInfo& device, uint32_t rows,
                               const std::function<bool(std::string_view)>& is_usable,
                               std::span<const TuningRow> table) {
  const TuningRow* best = nullptr;
  const auto rank = [](const TuningRow& row) { return std::tuple(!row.device.empty(), row.min_rows); };
  for (const TuningRow& row : table) {
    if (row.kernel != kernel || row.driver != device.driver || row.min_rows > rows) continue;
    if (device.name.find(row.device) == std::string::npos) continue;
    if (!is_usable(row.variant)) continue;
    if (best == nullptr || rank(*best) <= rank(row)) best = &row;
  }
  return best == nullptr ? std::string_view() : best->variant;
}

}  // namespace nibble
