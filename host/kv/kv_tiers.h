// Where the slabs of a KV cache lie: on the device, in the host's memory, in files. A place is chosen for every slab of
// the whole context before the first token, so that it does not depend on what is fed. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nibble {

enum class KvTier : uint8_t { kDevice, kHost, kFile };

// What a session may take of each. The defaults keep all of the cache on the device.
struct KvTierLimits {
  uint64_t device_bytes = UINT64_MAX;
  uint64_t host_bytes = 0;
  std::string directory;  // of files that take what is left; empty: none
};

struct KvTierBytes {
  uint64_t device = 0;
  uint64_t host = 0;
  uint64_t file = 0;

  uint64_t all() const { return device + host + file; }
};

// Hands out places, in the order in which it is asked: who asks first lies nearest.
class KvTierPlanner {
 public:
  explicit KvTierPlanner(KvTierLimits limits) : limits_(std::move(limits)) {}

  // Takes memory of the device, for what must lie there.
  void take_device(uint64_t bytes) { taken_.device += bytes; }
  // Places for slabs of an array with `bytes` in all, `slab_bytes` each, the last one what is left. What does not fit
  // anywhere is counted as missing.
  std::vector<KvTier> place(uint64_t bytes, uint64_t slab_bytes);

  const KvTierBytes& taken() const { return taken_; }
  // Throws kOutOfMemory, naming the limits, if something did not fit.
  void require_fit() const;

 private:
  KvTier next(uint64_t bytes);

  KvTierLimits limits_;
  KvTierBytes taken_;
  uint64_t missing_ = 0;
};

}  // namespace nibble
