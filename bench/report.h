// Rows as tables.
#pragma once

#include <string>
#include <vector>

#include "bench/row.h"
#include "bench/table.h"

namespace nibble::bench {

// One line per row: time, noise, rates, share of the ceiling with its range.
Table table_of(const std::vector<Row>& rows);

// "91 % (84-95) of read", with a mark where the ceiling is suspect; "" without a ceiling.
std::string share_text(const Row& row);

// "0.0123", "1.23", "123": three significant digits without an exponent; "?" for a NaN or an infinity.
std::string three_digits(double value);

}  // namespace nibble::bench
