// The bytes of a synthetic tensor, drawn piece by piece: gigabytes a second are wanted, and the whole need not fit in
// memory.
#pragma once

#include <cstddef>
#include <span>

#include "host/synthetic/tensors.h"
#include "runtime/base/rng.h"

namespace nibble {

inline constexpr double kFp8CodeDeviation = 64.0;  // 7 deviations fit e4m3's 448
inline constexpr double kFp4CodeDeviation = 2.5;

// A function of the tensor's name, its values and the seed, whatever the pieces. `tensor` must outlive it.
class SyntheticBytes {
 public:
  SyntheticBytes(const SyntheticTensor& tensor, uint64_t seed);
  // The next out.size() bytes: whole elements, for kExpertIds whole rows.
  void fill(std::span<std::byte> out);

 private:
  void fill_codes(std::span<std::byte> out, std::span<const uint8_t> table);
  void fill_floats(std::span<std::byte> out);
  void fill_expert_ids(std::span<std::byte> out);

  const SyntheticTensor& tensor_;
  Rng rng_;
};

}  // namespace nibble
