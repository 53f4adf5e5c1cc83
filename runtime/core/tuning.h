// The tuning table: which variant of a kernel was measured to be the fastest on which driver, for how many rows of
// activations. Rows come from `nibble tune` and stand in tuning.inc; a device without a row takes the defaults that the
// variants themselves give.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "runtime/core/device_info.h"

namespace nibble {

struct TuningRow {
  std::string_view driver;  // all of DeviceInfo::driver
  std::string_view device;  // a part of DeviceInfo::name; "" is every device of that driver
  std::string_view kernel;
  uint32_t min_rows = 0;  // for steps of at least so many rows of activations
  std::string_view variant;
};

std::span<const TuningRow> tuning_table();

// The variant for `rows` rows in `table`, "" where it says nothing. Rows of variants that are not usable do not count.
// A row that names the device beats one that names the driver only; among those counts the one with the largest
// min_rows that is not above `rows`, and of several the last.
std::string_view tuned_variant(std::string_view kernel, const DeviceInfo& device, uint32_t rows,
                               const std::function<bool(std::string_view variant)>& is_usable,
                               std::span<const TuningRow> table = tuning_table());

}  // namespace nibble
