// What a sequence's state on the device looks like. Plain values.
#pragma once

#include <cstdint>
#include <string_view>

#include "host/kv/kv_tiers.h"

namespace nibble {

enum class Numerics {
  kPlain,      // stored weights, f32 activations, nothing rounded anywhere, KV cache in f32: for checking
  kReference,  // every rounding of activations the model was trained with
  kFast,       // rounding in front of linears left out; the KV cache and the indexer keep theirs
};
// "plain", "reference", "fast"; throws kUsage for others.
Numerics numerics_from_name(std::string_view name);
std::string_view name_of(Numerics numerics);

enum class KvRope { kBf16, kF32 };  // how the cache keeps the rotary dims; kPlain always keeps f32
KvRope kv_rope_from_name(std::string_view name);

struct KvOptions {
  Numerics numerics = Numerics::kReference;
  KvRope rope = KvRope::kBf16;
  uint32_t context = 4096;  // positions there is room for
  bool mtp = false;         // the MTP block's state, too
  uint64_t slab_bytes = 0;  // most that the cache grows by at once, per layer; 0: what suits the device
  // Nearest are window rings, open windows and indexer keys, which every step reads, then the entries of layers that
  // attend to all of theirs, then those of layers whose indexer chooses a few.
  KvTierLimits tiers;
};

}  // namespace nibble
