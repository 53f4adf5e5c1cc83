// Attention over the sliding window and the compressed entries; one shared head of keys, which are also the values.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/core/kernel_spec.h"

namespace nibble {

inline constexpr uint32_t kAttendWindow = 0;   // the window only
inline constexpr uint32_t kAttendVisible = 1;  // and all entries j < (position + t + 1)/ratio
inline constexpr uint32_t kAttendIds = 2;      // and the entries that ids names

// o[t,h] = rope⁻¹(Σ_e p_e·entry_e), p = softmax(q[t,h]·entry/√dim), whose denominator also has exp(sinks[h]).
// Bindings: q f32 [T, heads, dim], kv_new u32 [T, entry_words], ring u32 [window, entry_words], entries slabs u32
// (item = entry_words), ids u32 [T, k + 1] (n, then n indices), sinks f32 [heads], o f32 [T, heads, dim], step.
// Window positions max(0, t − window + 1) … t; position p is kv_new[p − position], or ring[p mod window] if earlier.
// window 0 attends to no window entry at all.
struct AttentionParams {
  uint32_t heads = 0;
  uint32_t dim = 0;  // at most 512
  uint32_t rope = 0;
  uint32_t rope_at = 0;  // step word of the table [T, rope]
  uint32_t window = 0;
  uint32_t format = 0;
  uint32_t entry_words = 0;
  uint32_t mode = 0;
  uint32_t ratio = 0;
  uint32_t k = 0;
  uint32_t coarse = 0;  // 1: the kernel may round queries and softmax weights to bf16
};

// Steps of at most so many tokens leave a GPU empty unless their entries are cut into parts (attention_parts_f32).
inline constexpr uint32_t kAttentionPartsTokens = 8;

// What the params are called in kernel texts, and the workgroup memory of attention_tiles.kernel, which two kernels
// share.
std::vector<ParamSpec> attention_param_specs();
std::vector<SharedArray> attention_tiles_memory();

}  // namespace nibble
