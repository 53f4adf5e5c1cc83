// How much memory a model takes on a device: the code that places weights, makes the cache and builds programs, run on
// a device that only counts. Plain values.
#pragma once

#include <cstdint>

#include "host/checkpoint/checkpoint.h"
#include "host/layers/program_options.h"
#include "runtime/core/device_info.h"

namespace nibble {

// Bytes of the KV cache of the trunk at full context.
struct KvBytes {
  uint64_t window_rings = 0;
  uint64_t compressed_entries = 0;
  uint64_t indexer_keys = 0;
  uint64_t open_windows = 0;  // rows of the compressors' incomplete windows; not counted in published figures
  uint64_t alignment = 0;     // place-holders and padding
  uint64_t mtp = 0;           // what the MTP block would add, were it run

  // As published: everything that a sequence leaves in the trunk, without the open windows.
  uint64_t kept() const { return window_rings + compressed_entries + indexer_keys; }
  uint64_t all() const { return kept() + open_windows + alignment; }
};

struct MemoryPlan {
  uint64_t weights = 0;           // copied to the device
  uint64_t weights_in_place = 0;  // pages of the checkpoint's files that kernels read where they are
  KvBytes kv;
  uint64_t prefill_scratch = 0;  // activations of a chunk's program
  uint64_t decode_scratch = 0;   // of a decode step's; a session keeps both
  uint64_t staging = 0;          // transfer buffers and step blocks

  uint64_t kv_host = 0;  // what of the cache lies in the host's memory
  uint64_t kv_file = 0;  // and in files (KvOptions::tiers)

  // Of the device.
  uint64_t total() const {
    return weights + weights_in_place + kv.all() - kv_host - kv_file + prefill_scratch + decode_scratch + staging;
  }
};

// The session that is planned for; whether it runs the MTP block does not matter.
struct PlannedSession {
  KvOptions kv;
  ProgramOptions program;
  uint32_t chunk = 512;
};

// Throws kUnsupported or kOutOfMemory where a single piece exceeds the device's limits; exceeding its memory is no
// error.
MemoryPlan plan_memory(const DeviceInfo& device, const Checkpoint& checkpoint, PlannedSession session);

// What DeepSeek-V3.2 keeps of so many tokens: 656 B of attention entry (512 e4m3, 4 f32 scales, 64 bf16) and 132 B of
// indexer key (128 e4m3, one f32 scale) per token in each of 61 layers.
constexpr uint64_t v32_kv_bytes(uint64_t tokens) { return tokens * 61 * (656 + 132); }

}  // namespace nibble
