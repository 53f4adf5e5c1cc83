// What tests of sessions vary: the device, and whether the MTP block runs beside the trunk.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "host/checkpoint/config.h"
#include "tests/support/test_devices.h"

namespace nibble {

struct SessionKind {
  TestDevice device;
  std::optional<uint32_t> mtp_ratio;  // of the MTP block's layer, as in compress_ratios; without: no such block

  std::string label() const { return device.label + (mtp_ratio ? "_mtp" + std::to_string(*mtp_ratio) : std::string()); }
};
inline std::ostream& operator<<(std::ostream& out, const SessionKind& kind) { return out << kind.label(); }

// Without the block, with one as in the released models, which has a window only, and with one whose layer also keeps
// compressed entries and indexer keys. On drivers, where every kernel has to be compiled, the last stands for both.
inline std::vector<SessionKind> session_kinds() {
  std::vector<SessionKind> kinds;
  for (const TestDevice& device : test_devices()) {
    kinds.push_back({.device = device, .mtp_ratio = {}});
    if (device.label == "cpu") kinds.push_back({.device = device, .mtp_ratio = 0});
    kinds.push_back({.device = device, .mtp_ratio = 4});
  }
  return kinds;
}

inline std::vector<SessionKind> kinds_without_mtp() {
  std::vector<SessionKind> kinds = session_kinds();
  std::erase_if(kinds, [](const SessionKind& kind) { return kind.mtp_ratio.has_value(); });
  return kinds;
}

inline std::vector<SessionKind> kinds_with_mtp() {
  std::vector<SessionKind> kinds = session_kinds();
  std::erase_if(kinds, [](const SessionKind& kind) { return !kind.mtp_ratio.has_value(); });
  return kinds;
}

inline std::vector<SessionKind> only_cpu(std::vector<SessionKind> kinds) {
  std::erase_if(kinds, [](const SessionKind& kind) { return kind.device.label != "cpu"; });
  return kinds;
}

}  // namespace nibble
