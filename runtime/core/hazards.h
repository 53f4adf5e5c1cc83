// Where barriers go: dispatches between two barriers may run in any order or at once.
#pragma once

#include <vector>

#include "runtime/core/dispatch_list.h"

namespace nibble {

// result[i] is true when dispatch i needs a barrier before it: it reads what an earlier one since the last barrier
// wrote (RAW), or writes what one read (WAR) or wrote (WAW). result[0] is always false.
std::vector<bool> barriers_before(const DispatchList& list);

}  // namespace nibble
