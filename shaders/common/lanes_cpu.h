// Sums over 16 lanes, the same on every instruction set: which lane an element goes to depends on its index alone, so
// results agree to the bit between the baseline and the per-ISA builds. Included by one file per instruction set,
// hence the unnamed namespace. Vectors are a GCC and Clang extension; never pass them by value between functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace nibble {
namespace {

constexpr size_t kLanes = 16;
using Lanes = float __attribute__((vector_size(kLanes * sizeof(float))));

[[maybe_unused]] inline void load_lanes(Lanes& lanes, const float* from) { std::memcpy(&lanes, from, sizeof(Lanes)); }
[[maybe_unused]] inline void store_lanes(float* to, const Lanes& lanes) { std::memcpy(to, &lanes, sizeof(Lanes)); }

[[maybe_unused]] inline float sum_of(const Lanes& lanes) {
  float v[kLanes];
  store_lanes(v, lanes);
  for (size_t span = kLanes / 2; span > 0; span /= 2) {
    for (size_t i = 0; i < span; ++i) v[i] += v[i + span];
  }
  return v[0];
}

// out[r] = Σ a[r·stride + i]·b[i], the same bits for every R.
template <size_t R>
inline void dot_rows(float* out, const float* a, size_t stride, const float* b, size_t n) {
  Lanes sum0[R] = {};
  Lanes sum1[R] = {};
  Lanes x;
  Lanes y;
  size_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    load_lanes(y, b + i);
    for (size_t r = 0; r < R; ++r) {
      load_lanes(x, a + r * stride + i);
      sum0[r] += x * y;
    }
    load_lanes(y, b + i + kLanes);
    for (size_t r = 0; r < R; ++r) {
      load_lanes(x, a + r * stride + i + kLanes);
      sum1[r] += x * y;
    }
  }
  for (; i < n; i += kLanes) {
    const size_t count = std::min(kLanes, n - i);
    y = Lanes{};
    std::memcpy(&y, b + i, count * sizeof(float));
    for (size_t r = 0; r < R; ++r) {
      x = Lanes{};
      std::memcpy(&x, a + r * stride + i, count * sizeof(float));
      sum0[r] += x * y;
    }
  }
  for (size_t r = 0; r < R; ++r) {
    sum0[r] += sum1[r];
    out[r] = sum_of(sum0[r]);
  }
}

// Σ a[i]·b[i]
[[maybe_unused]] inline float dot_lanes(const float* a, const float* b, size_t n) {
  float sum;
  dot_rows<1>(&sum, a, 0, b, n);
  return sum;
}

// y[i] += factor·x[i]
[[maybe_unused]] inline void add_scaled(float* y, float factor, const float* x, size_t n) {
  Lanes a;
  Lanes b;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    load_lanes(a, y + i);
    load_lanes(b, x + i);
    a += factor * b;
    store_lanes(y + i, a);
  }
  for (; i < n; ++i) y[i] += factor * x[i];
}

}  // namespace
}  // namespace nibble
