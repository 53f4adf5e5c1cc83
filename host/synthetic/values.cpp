#include "host/synthetic/values.h"

#include <array>
#include <cstring>
#include <numeric>

#include "runtime/base/error.h"
#include "runtime/base/format.h"

namespace nibble {
namespace {

// 16 random bits choose one of these: a normal distribution of 65,536 values costs a load, not a logarithm.
constexpr size_t kTableSize = 1 << 16;

const std::vector<float>& normal_table() {
  static const std::vector<float> table = [] {
    Rng rng(1);
    std::vector<float> values(kTableSize);
    // In pairs of either sign, so that the mean is 0.
    for (size_t i = 0; i < kTableSize; i += 2) {
      values[i] = static_cast<float>(rng.normal());
      values[i + 1] = -values[i];
    }
    return values;
  }();
  return table;
}

const std::vector<uint8_t>& fp8_table() {
  static const std::vector<uint8_t> table = [] {
    std::vector<uint8_t> codes;
    for (const float value : normal_table()) {
      codes.push_back(f32_to_e4m3(static_cast<float>(kFp8CodeDeviation) * value));
    }
    return codes;
  }();
  return table;
}

const std::vector<uint8_t>& fp4_table() {
  static const std::vector<uint8_t> table = [] {
    const std::vector<float>& normal = normal_table();
    const auto code = [&](size_t i) { return f32_to_e2m1(static_cast<float>(kFp4CodeDeviation) * normal[i]); };
    std::vector<uint8_t> codes;
    // An odd factor visits every value once in another order.
    for (size_t i = 0; i < kTableSize; ++i) {
      codes.push_back(static_cast<uint8_t>(code(i) | code(i * 40503 % kTableSize) << 4));
    }
    return codes;
  }();
  return table;
}

// FNV-1a.
uint64_t hash_of(const std::string& name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  return hash;
}

template <typename T>
void put(std::span<std::byte> out, size_t index, T value) {
  std::memcpy(out.data() + index * sizeof(T), &value, sizeof(T));
}

}  // namespace

SyntheticBytes::SyntheticBytes(const SyntheticTensor& tensor, uint64_t seed)
    : tensor_(tensor), rng_(seed ^ hash_of(tensor.name)) {}

void SyntheticBytes::fill(std::span<std::byte> out) {
  switch (tensor_.values.kind) {
    case SyntheticValues::Kind::kNormal:
      return fill_floats(out);
    case SyntheticValues::Kind::kFp8Codes:
      return fill_codes(out, fp8_table());
    case SyntheticValues::Kind::kFp4Codes:
      return fill_codes(out, fp4_table());
    case SyntheticValues::Kind::kScales:
      for (std::byte& code : out) {
        code = static_cast<std::byte>(tensor_.values.exponent - 1 + static_cast<int>(rng_.below(3)));
      }
      return;
    case SyntheticValues::Kind::kExpertIds:
      return fill_expert_ids(out);
  }
}

void SyntheticBytes::fill_codes(std::span<std::byte> out, std::span<const uint8_t> table) {
  uint64_t bits = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    if (i % 4 == 0) bits = rng_.next_u64();
    out[i] = static_cast<std::byte>(table[bits & (kTableSize - 1)]);
    bits >>= 16;
  }
}

void SyntheticBytes::fill_floats(std::span<std::byte> out) {
  const std::vector<float>& table = normal_table();
  const size_t width = dtype_bytes(tensor_.dtype);
  const auto mean = static_cast<float>(tensor_.values.mean);
  const auto deviation = static_cast<float>(tensor_.values.deviation);
  uint64_t bits = 0;
  for (size_t i = 0; i < out.size() / width; ++i) {
    if (i % 4 == 0) bits = rng_.next_u64();
    const float value = mean + deviation * table[bits & (kTableSize - 1)];
    bits >>= 16;
    if (width == 2) {
      put(out, i, f32_to_bf16(value));
    } else {
      put(out, i, value);
    }
  }
}

void SyntheticBytes::fill_expert_ids(std::span<std::byte> out) {
  const auto per_row = static_cast<uint32_t>(tensor_.shape.back());
  const size_t width = dtype_bytes(tensor_.dtype);
  check(out.size() % (per_row * width) == 0, "'{}': a piece of {} bytes is not whole rows", tensor_.name, out.size());
  std::vector<int64_t> ids(tensor_.values.experts);
  for (size_t row = 0; row < out.size() / width / per_row; ++row) {
    std::iota(ids.begin(), ids.end(), 0);
    for (uint32_t i = 0; i < per_row; ++i) {
      std::swap(ids[i], ids[i + rng_.below(tensor_.values.experts - i)]);  // no expert twice
      // Little-endian: the low bytes of a small id are the same in both types.
      std::memcpy(out.data() + (row * per_row + i) * width, &ids[i], width);
    }
  }
}

}  // namespace nibble
