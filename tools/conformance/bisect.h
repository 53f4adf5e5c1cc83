// Which abilities of a device a failure needs: the smallest set whose kill switches make it vanish.
#pragma once

#include "tools/conformance/conformance.h"

namespace nibble::conformance {

// For each kernel of each device with rows that are not as expected, at most five of them, runs that kernel again with
// abilities taken away and adds a notice to the device: what to disable, or that nothing helps. `options` are those of
// the run that made the report.
void bisect(Report& report, const RunOptions& options);

}  // namespace nibble::conformance
