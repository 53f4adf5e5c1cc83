#include "host/placement/memory_plan.h"

#include <algorithm>

#include "host/kv/kv_cache.h"
#include "host/layers/model_programs.h"
#include "host/placement/place_weights.h"
#include "host/placement/planning_device.h"
#include "runtime/device/staging.h"

namespace nibble {
namespace {

// At full context.
KvBytes kv_bytes(KvCache& kv) {
  KvBytes bytes;
  for (size_t i = 0; i < kv.layers().size(); ++i) {
    const LayerKv& layer = kv.layers()[i];
    bytes.window_rings += layer.ring.bytes;
    bytes.compressed_entries += kv.entries(i).bytes();
    bytes.indexer_keys += kv.keys(i).bytes();
    bytes.open_windows += layer.compressor.rows.bytes + layer.indexer.rows.bytes;
  }
  bytes.open_windows += kv.mtp_waiting().bytes;
  return bytes;
}

}  // namespace

MemoryPlan plan_memory(const DeviceInfo& info, const Checkpoint& checkpoint, PlannedSession session) {
  const ModelConfig& config = checkpoint.config();
  session.chunk = std::min(session.chunk, session.kv.context);
  PlanningDevice device(info);
  MemoryPlan plan;
  const DeviceWeights weights = place_weights(device, load_weights(checkpoint, config), nullptr, {});
  plan.weights = device.allocated_bytes();
  plan.weights_in_place = device.wrapped_bytes();

  const auto full_cache = [&](bool mtp) {
    session.kv.mtp = mtp;
    KvCache kv(device, config, session.kv);
    kv.prepare(0, session.kv.context);
    return kv;
  };
  uint64_t with_mtp = 0;
  if (weights.mtp) {
    KvCache kv = full_cache(true);
    with_mtp = kv_bytes(kv).all();
  }
  uint64_t before = device.allocated_bytes();
  KvCache kv = full_cache(false);
  plan.kv = kv_bytes(kv);
  plan.kv.mtp = weights.mtp ? with_mtp - plan.kv.all() : 0;
  plan.kv_host = device.host_bytes();
  plan.kv_file = device.file_bytes();
  plan.kv.alignment = device.allocated_bytes() + plan.kv_host + plan.kv_file - before - plan.kv.all();

  before = device.allocated_bytes();
  uint64_t step_words = 0;
  const auto build = [&](uint32_t tokens, uint64_t& scratch) {
    const auto program = build_trunk_program({device, config, weights, kv, session.program}, tokens);
    scratch = device.allocated_bytes() - before;
    step_words += program->layout.words;
  };
  build(session.chunk, plan.prefill_scratch);
  if (session.chunk > 1) build(1, plan.decode_scratch);
  plan.staging = staging_bytes(info) + step_words * sizeof(uint32_t);
  return plan;
}

}  // namespace nibble
