// KvArray: a growing array of equal rows on a device, cut into slabs of equal size. Slabs are allocated when rows reach
// them and never move; copies share them until one of the copies writes. One thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "host/kv/kv_tiers.h"
#include "runtime/device/device.h"

namespace nibble {

// How many rows a slab has (the last one what is left), and how many slabs hold all of them.
struct KvSlabs {
  uint64_t rows = 0;
  uint64_t rows_per_slab = 0;
  uint32_t count = 0;
};

// For `rows` rows of `row_bytes` each on this device: few slabs where a kernel's reads go through a chain of
// comparisons, many small ones where slabs are plain pointers; `most_bytes` a slab at most, unless 0. Throws
// kUnsupported where one row exceeds the limits.
KvSlabs plan_kv_slabs(const DeviceInfo& device, uint64_t rows, uint64_t row_bytes, uint64_t most_bytes);

class KvArray {
 public:
  KvArray() = default;
  // `tiers` says where slab i lies; those that are files are in `directory`.
  KvArray(Device& device, const KvSlabs& slabs, uint64_t row_bytes, std::string label, std::vector<KvTier> tiers,
          std::string directory);

  // Shares the slabs; either copy gets its own before it writes to them.
  KvArray(const KvArray&) = default;
  KvArray& operator=(const KvArray&) = default;

  // Lets rows [begin, end) be written: allocates the slabs they lie in and takes over the rows before `begin` of those
  // that are shared. True if slabs changed: programs that bound the old ones are stale. Where memory runs out nothing
  // has changed.
  bool make_writable(uint64_t begin, uint64_t end);

  // What kernels bind: the slabs there are, and place-holders up to a power of two, so that a growing array needs few
  // different kernels.
  Binding binding() const;

  uint64_t capacity() const;  // rows there is memory for
  uint64_t row_bytes() const { return row_bytes_; }
  uint64_t bytes() const { return capacity() * row_bytes_; }

  // Rows from `first` on, as many as the span holds; they lie below capacity().
  void read(uint64_t first, std::span<std::byte> rows) const;
  void write(uint64_t first, std::span<const std::byte> rows);

 private:
  BufferView allocate_slab(uint64_t index) const;
  template <typename F>
  void for_each_piece(uint64_t first, uint64_t bytes, F&& f) const;

  Device* device_ = nullptr;
  KvSlabs plan_;
  uint64_t row_bytes_ = 0;
  std::string label_;
  std::vector<KvTier> tiers_;
  std::string directory_;
  std::vector<std::shared_ptr<const BufferView>> slabs_;  // one owner per array that shares it
  std::shared_ptr<Buffer> padding_;                       // what place-holders point to
};

}  // namespace nibble
