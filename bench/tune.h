// From measured rows to rows of the tuning table (runtime/core/tuning.inc).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "bench/row.h"

namespace nibble::bench {

// From `min_rows` rows of activations on, `kernel` is faster as `variant`: by `gain` at that many.
struct TuneChoice {
  std::string kernel;
  uint32_t min_rows = 0;
  std::string variant;
  double gain = 1;  // time of the default variant over that of this one
};

// What choose_variant() takes without the table.
using DefaultVariant = std::function<std::string(const std::string& kernel, uint32_t tokens)>;

// Another variant must be this much faster than the default to be worth a row: less is noise.
inline constexpr double kWorthwhileGain = 1.1;

// The changes from the defaults that the rows call for, by kernel and number of tokens. A variant's time is the sum
// over the shapes of a kernel; shapes that not every variant was measured at are left out. Cold data counts where both
// were measured.
std::vector<TuneChoice> fastest_variants(std::span<const Row> rows, const DefaultVariant& default_variant);

// One line of runtime/core/tuning.inc, for every device of that driver.
std::string tuning_line(const TuneChoice& choice, const std::string& driver);

}  // namespace nibble::bench
