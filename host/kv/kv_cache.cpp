#include "host/kv/kv_cache.h"

#include <algorithm>

#include "runtime/base/error.h"
#include "shaders/common/kv_format.h"

namespace nibble {
namespace {

BufferView allocate_rows(Device& device, uint64_t rows, uint64_t row_words, const std::string& label) {
  BufferView view(device.allocate((rows * row_words * 4 + 15) / 16 * 16, label));
  device.fill(view, 0);
  return view;
}

// The pooled rows of an entry: its own window, and where windows overlap the one before.
CompressorState make_state(Device& device, const LayerPlan& plan, uint32_t width, const std::string& label) {
  const uint32_t slots = plan.overlap ? 2 * plan.ratio : plan.ratio;
  const uint32_t columns = plan.overlap ? 2 * width : width;
  return {.slots = slots, .rows = allocate_rows(device, slots, 2 * columns, label)};
}

std::string layer_label(size_t layer) { return fmt::format("layers.{} kv", layer); }

BufferView copy_of(Device& device, const BufferView& view) {
  std::vector<std::byte> content(view.bytes);
  device.download(view, content);
  BufferView copy(device.allocate(view.bytes, view.buffer->label()));
  device.upload(copy, content);
  return copy;
}

}  // namespace

KvFormat::KvFormat(const ModelConfig& config, Numerics numerics, KvRope rope) {
  const bool plain = numerics == Numerics::kPlain;
  entry = plain ? 0 : rope == KvRope::kBf16 ? 1 : 2;
  key = plain ? 0 : 1;
  entry_words = kv_entry_words(config.head_dim, config.qk_rope_head_dim, entry);
  key_words = config.index_head_dim == 0 ? 0 : indexer_key_words(config.index_head_dim, key);
}

KvCache::KvCache(Device& device, const ModelConfig& config, const KvOptions& options)
    : device_(&device), format_(config, options.numerics, options.rope) {
  const uint32_t count = config.num_hidden_layers + (options.mtp ? 1 : 0);
  for (uint32_t i = 0; i < count; ++i) {
    const LayerPlan plan = i < config.num_hidden_layers ? config.layer_plan(i) : config.mtp_plan();
    const std::string name = layer_label(i);
    LayerKv layer{.plan = plan, .ring = allocate_rows(device, config.sliding_window, format_.entry_words, name)};
    if (plan.compresses()) layer.compressor = make_state(device, plan, config.head_dim, name);
    if (plan.indexed) layer.indexer = make_state(device, plan, config.index_head_dim, name);
    layers_.push_back(std::move(layer));
  }
  if (options.mtp) mtp_waiting_ = allocate_rows(device, 1, uint64_t{config.hc_mult} * config.hidden_size, "mtp stream");
  make_arrays(options);
  for (size_t i = 0; i < layers_.size(); ++i) bind(i);
}

void KvCache::make_arrays(const KvOptions& options) {
  const uint64_t entry_bytes = uint64_t{format_.entry_words} * 4;
  const uint64_t key_bytes = uint64_t{format_.key_words} * 4;
  // Cut alike: entries are the longer rows.
  std::vector<KvSlabs> slabs(layers_.size());
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (!layers_[i].plan.compresses()) continue;
    const uint64_t rows = std::max(1u, options.context / layers_[i].plan.ratio);
    slabs[i] = plan_kv_slabs(device_->info(), rows, entry_bytes, options.slab_bytes);
  }
  KvTierPlanner planner(options.tiers);
  planner.take_device(state_bytes());
  const auto place = [&](size_t i, uint64_t row_bytes) {
    return planner.place(slabs[i].rows * row_bytes, slabs[i].rows_per_slab * row_bytes);
  };
  std::vector<std::vector<KvTier>> key_tiers(layers_.size());
  std::vector<std::vector<KvTier>> entry_tiers(layers_.size());
  const auto is_indexed = [&](size_t i) { return layers_[i].plan.indexed; };
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (is_indexed(i)) key_tiers[i] = place(i, key_bytes);
  }
  for (const bool indexed : {false, true}) {
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (layers_[i].plan.compresses() && is_indexed(i) == indexed) entry_tiers[i] = place(i, entry_bytes);
    }
  }
  planner.require_fit();
  tier_bytes_ = planner.taken();
  arrays_.resize(layers_.size());
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (!layers_[i].plan.compresses()) continue;
    const std::string& directory = options.tiers.directory;
    arrays_[i].entries = KvArray(*device_, slabs[i], entry_bytes, layer_label(i), entry_tiers[i], directory);
    if (!is_indexed(i)) continue;
    arrays_[i].keys = KvArray(*device_, slabs[i], key_bytes, layer_label(i) + " keys", key_tiers[i], directory);
  }
}

void KvCache::bind(size_t layer) {
  LayerKv& bound = layers_[layer];
  if (!bound.plan.compresses()) return;
  bound.entries = arrays_[layer].entries.binding();
  bound.entry_capacity = static_cast<uint32_t>(arrays_[layer].entries.capacity());
  if (bound.plan.indexed) bound.keys = arrays_[layer].keys.binding();
}

KvCache KvCache::fork() const {
  KvCache copy = *this;
  for (LayerKv& layer : copy.layers_) {
    layer.ring = copy_of(*device_, layer.ring);
    for (CompressorState* state : {&layer.compressor, &layer.indexer}) {
      if (state->slots != 0) state->rows = copy_of(*device_, state->rows);
    }
  }
  if (has_mtp()) copy.mtp_waiting_ = copy_of(*device_, mtp_waiting_);
  return copy;
}

bool KvCache::prepare(uint32_t position, uint32_t count) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    const LayerPlan& plan = layers_[i].plan;
    if (!plan.compresses()) continue;
    const bool is_behind = has_mtp() && i + 1 == layers_.size() && position != 0;
    const uint64_t begin = (is_behind ? position - 1 : position) / plan.ratio;
    const uint64_t end = (uint64_t{position} + count) / plan.ratio;
    is_changed_ |= arrays_[i].entries.make_writable(begin, end);
    if (plan.indexed) is_changed_ |= arrays_[i].keys.make_writable(begin, end);
  }
  if (!is_changed_) return false;
  for (size_t i = 0; i < layers_.size(); ++i) bind(i);
  is_changed_ = false;
  return true;
}

template <typename F>
void KvCache::for_each_state(F&& f) const {
  for (const LayerKv& layer : layers_) {
    f(layer.ring);
    if (layer.compressor.slots != 0) f(layer.compressor.rows);
    if (layer.indexer.slots != 0) f(layer.indexer.rows);
  }
  if (has_mtp()) f(mtp_waiting_);
}

uint64_t KvCache::state_bytes() const {
  uint64_t bytes = 0;
  for_each_state([&](const BufferView& view) { bytes += view.bytes; });
  return bytes;
}

std::vector<std::byte> KvCache::state() const {
  std::vector<std::byte> all(state_bytes());
  uint64_t at = 0;
  for_each_state([&](const BufferView& view) {
    device_->download(view, std::span(all).subspan(at, view.bytes));
    at += view.bytes;
  });
  return all;
}

void KvCache::restore(std::span<const std::byte> state) {
  check(state.size() == state_bytes(), "a cache state of {} bytes, this cache has {}", state.size(), state_bytes());
  uint64_t at = 0;
  for_each_state([&](const BufferView& view) {
    device_->upload(view, state.subspan(at, view.bytes));
    at += view.bytes;
  });
}

uint64_t KvCache::bytes() const {
  uint64_t bytes = state_bytes();
  for (const Arrays& arrays : arrays_) bytes += arrays.entries.bytes() + arrays.keys.bytes();
  return bytes;
}

}  // namespace nibble
