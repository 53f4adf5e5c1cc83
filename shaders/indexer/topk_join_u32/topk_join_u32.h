// topk_f32 from the best entries of each stretch that topk_parts_f32 found.
#pragma once

#include "shaders/indexer/topk_parts_f32/topk_parts_f32.h"

namespace nibble {

// ids[t] as topk_f32 gives them: among equal keys the lower index is the one in the earlier stretch, or the earlier one
// within it, so that choosing by place is choosing by index.
// Bindings: part_keys u32 [max_tokens, ceil(stride/part_length), k], part_ids u32 likewise, ids u32 [T, k + 1], step.
using TopkJoinParams = TopkPartsParams;

}  // namespace nibble
