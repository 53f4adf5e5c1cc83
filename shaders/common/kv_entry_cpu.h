// Decoding of KV entries and indexer keys on the host's processor. Included by one file per instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "runtime/base/format.h"
#include "shaders/common/kv_format.h"

namespace nibble {
namespace {

[[maybe_unused]] inline const float* e4m3_table() {
  static const auto table = [] {
    std::array<float, 256> values{};
    for (size_t code = 0; code < values.size(); ++code) values[code] = e4m3_to_f32(static_cast<uint8_t>(code));
    return values;
  }();
  return table.data();
}

// values [dim]
[[maybe_unused]] inline void decode_kv_entry(float* values, const uint32_t* entry, uint32_t dim, uint32_t rope,
                                             uint32_t format) {
  if (format == kEntryF32) {
    std::memcpy(values, entry, dim * sizeof(float));
    return;
  }
  const float* table = e4m3_table();
  const uint32_t plain = dim - rope;
  const auto* codes = reinterpret_cast<const uint8_t*>(entry);
  const auto* scales = reinterpret_cast<const uint8_t*>(entry + kv_scale_word(dim, rope, format));
  for (uint32_t begin = 0; begin < plain; begin += kEntryBlock) {
    const uint32_t end = begin + kEntryBlock < plain ? begin + kEntryBlock : plain;
    const float scale = e8m0_to_f32(scales[begin / kEntryBlock]);
    for (uint32_t i = begin; i < end; ++i) values[i] = table[codes[i]] * scale;
  }
  const uint32_t* turned = entry + plain / 4;
  if (format == kEntryFp8F32) {
    std::memcpy(values + plain, turned, rope * sizeof(float));
    return;
  }
  for (uint32_t i = 0; i < rope / 2; ++i) {
    values[plain + 2 * i] = bf16_to_f32(static_cast<uint16_t>(turned[i]));
    values[plain + 2 * i + 1] = bf16_to_f32(static_cast<uint16_t>(turned[i] >> 16));
  }
}

// values [dim]
[[maybe_unused]] inline void decode_indexer_key(float* values, const uint32_t* key, uint32_t dim, uint32_t format) {
  if (format == kKeyF32) {
    std::memcpy(values, key, dim * sizeof(float));
    return;
  }
  constexpr float kE2m1[16] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
  const auto* scales = reinterpret_cast<const uint8_t*>(key + dim / 8);
  for (uint32_t word = 0; word < dim / 8; ++word) {
    const float scale = e8m0_to_f32(scales[word * 8 / kKeyBlock]);
    for (uint32_t i = 0; i < 8; ++i) values[8 * word + i] = kE2m1[(key[word] >> (4 * i)) & 15] * scale;
  }
}

}  // namespace
}  // namespace nibble
