// The best entries of each query, within stretches of them: what topk_join_u32 chooses among.
#pragma once

#include <cstdint>

namespace nibble {

// 1,024 invocations read 16 scores each, few enough to wait for; at a context of a million tokens 16 stretches.
inline constexpr uint32_t kTopkPartLength = 16384;

// For each stretch i of part_length of the scores[t − first_token, 0 .. visible) that topk_f32 would choose among: the
// indices of its n = min(k, scores in it) largest, ascending, and their keys, then words 0xffffffff and 0. A key orders
// like its score (ordered_key in shaders/common/select.kernel). Stretches without visible scores are left alone.
// Bindings: scores f32 [max_tokens, stride], part_keys u32 [max_tokens, ceil(stride/part_length), k], part_ids u32
// likewise, step.
struct TopkPartsParams {
  uint32_t k = 0;
  uint32_t stride = 0;
  uint32_t ratio = 0;
  uint32_t first_token = 0;
  uint32_t max_tokens = UINT32_MAX;
  uint32_t part_length = 0;  // at least k
};

// Stretches of a row of scores.
constexpr uint32_t topk_parts(const TopkPartsParams& p) { return (p.stride + p.part_length - 1) / p.part_length; }

}  // namespace nibble
