// Making a failing case smaller, for whoever has to look at it.
#pragma once

#include <functional>
#include <vector>

#include "tools/conformance/report.h"

namespace nibble::conformance {

// Runs a row on the device under test or, for `on_host`, on the cpu; returns what became of it.
using RowRun = std::function<CaseResult(const Row& row, bool on_host)>;

// Sets row.sizes to the smallest found at which the row still ends with the same verdict while the cpu's kernel is
// right (else the case itself would be in doubt), row.result to what became of it there, and row.smallest to their
// text. One size after the other is lowered, to the smallest of a few values at which it fails, until none can be.
// Leaves the row alone where its case has no sizes or it does not fail again.
void reduce(Row& row, const RowRun& run);

}  // namespace nibble::conformance
