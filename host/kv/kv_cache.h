// KvCache: what a sequence leaves on the device. Per layer: the window ring, compressed entries, indexer keys, and the
// rows of the windows that are still open in the compressors. For the MTP block, which pairs a token with the one after
// it: the last token's residual stream, too. Entry formats: docs/numerics.md.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "host/checkpoint/config.h"
#include "host/kv/kv_array.h"
#include "host/kv/kv_options.h"
#include "runtime/device/device.h"

namespace nibble {

// Formats of shaders/common/kv_format.h.
struct KvFormat {
  uint32_t entry = 0;        // 0 f32, 1 e4m3 + bf16 rope, 2 e4m3 + f32 rope
  uint32_t key = 0;          // 0 f32, 1 e2m1
  uint32_t entry_words = 0;  // of a window or compressed entry
  uint32_t key_words = 0;    // of an indexer key

  KvFormat(const ModelConfig& config, Numerics numerics, KvRope rope);
};

// Rows [a | z] of tokens whose window is not complete, in a ring.
struct CompressorState {
  uint32_t slots = 0;
  BufferView rows;  // f32 [slots, 2 * columns]
};

// What the programs of a session bind for one layer.
struct LayerKv {
  LayerPlan plan;
  BufferView ring;              // [sliding_window, entry_words]
  uint32_t entry_capacity = 0;  // compressed entries (and keys) there is memory for now
  Binding entries;              // where the layer compresses: slabs of entry_words
  CompressorState compressor;
  Binding keys;  // where it is indexed: slabs of key_words
  CompressorState indexer;
};

class KvCache {
 public:
  KvCache(Device& device, const ModelConfig& config, const KvOptions& options);

  // A second cache with the same content: slabs are shared until either writes, the rest is copied.
  KvCache fork() const;

  const KvFormat& format() const { return format_; }
  const std::vector<LayerKv>& layers() const { return layers_; }  // the MTP layer, if run, is the last
  // f32 [1, hc_mult * hidden_size]: the trunk's stream of the last token fed. Empty unless the MTP block is run.
  const BufferView& mtp_waiting() const { return mtp_waiting_; }

  // Lets the tokens [position, position + count) be fed. True if buffers changed: programs that bind the earlier ones
  // are stale. The MTP layer, which is a token behind, may write from position - 1 on. Where memory runs out, the next
  // call that succeeds reports what has changed until then.
  bool prepare(uint32_t position, uint32_t count);

  // Everything but entries and keys: rings, open windows and the stream that waits, as one block of state_bytes().
  uint64_t state_bytes() const;
  std::vector<std::byte> state() const;
  void restore(std::span<const std::byte> state);

  // Entries (and keys, empty where a layer has none) of a layer: rows j < position / ratio are valid.
  KvArray& entries(size_t layer) { return arrays_[layer].entries; }
  KvArray& keys(size_t layer) { return arrays_[layer].keys; }

  uint64_t bytes() const;  // memory taken now; slabs shared with a fork count in both
  const KvTierBytes& tier_bytes() const { return tier_bytes_; }  // memory taken at full context

 private:
  struct Arrays {
    KvArray entries;
    KvArray keys;
  };
  bool has_mtp() const { return mtp_waiting_.buffer != nullptr; }
  void make_arrays(const KvOptions& options);
  void bind(size_t layer);
  template <typename F>
  void for_each_state(F&& f) const;

  Device* device_;
  KvFormat format_;
  std::vector<LayerKv> layers_;
  BufferView mtp_waiting_;
  std::vector<Arrays> arrays_;
  KvTierBytes tier_bytes_;
  bool is_changed_ = false;  // buffers, since prepare() last returned
};

}  // namespace nibble
