// attention_f32 on the host's processor; compiled once per instruction set.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>

#include "runtime/cpu/cpu_kernel.h"
#include "shaders/attention/attention_f32/attention_f32.h"
#include "shaders/common/kv_entry_cpu.h"
#include "shaders/common/lanes_cpu.h"

namespace nibble {

CpuKernel attention_f32_avx512();
CpuKernel attention_f32_avx512_dot();  // x86-64 only

namespace {

constexpr uint32_t kAttentionMaxDim = 512;
constexpr uint32_t kAttentionHeads = 16;  // heads of one item: they share the decoded entries
constexpr uint32_t kAttentionTile = 16;   // entries decoded at a time: 32 KiB at 512 dims, the first cache's size

[[maybe_unused]] uint64_t attention_items(const CpuArgs& args) {
  const auto p = args.get<AttentionParams>();
  return uint64_t{args.step.n_tokens} * ((p.heads + kAttentionHeads - 1) / kAttentionHeads);
}

// The words of the window's entry at a position, and of a compressed entry.
[[maybe_unused]] inline const uint32_t* window_entry(const CpuArgs& args, const AttentionParams& p, uint32_t position) {
  const bool is_new = position >= args.step.position;
  const uint64_t row = is_new ? position - args.step.position : position % p.window;
  return args.bindings[is_new ? 1 : 2].as<uint32_t>() + row * p.entry_words;
}

[[maybe_unused]] inline const uint32_t* compressed_entry(const CpuArgs& args, const AttentionParams& p, uint64_t item) {
  return reinterpret_cast<const uint32_t*>(args.bindings[3].item(item, uint64_t{p.entry_words} * 4));
}

// The entries that token t attends to, in order: window, then compressed.
class AttendedEntries {
 public:
  AttendedEntries(const CpuArgs& args, const AttentionParams& p, uint32_t t)
      : args_(args), p_(p), ids_(args.bindings[4].as<uint32_t>() + uint64_t{t} * (p.k + 1)) {
    const uint32_t seen = args.step.position + t + 1;
    window_begin_ = seen > p.window ? seen - p.window : 0;
    in_window_ = seen - window_begin_;
    others_ = p.mode == kAttendWindow ? 0 : p.mode == kAttendVisible ? seen / p.ratio : ids_[0];
  }

  uint32_t count() const { return in_window_ + others_; }

  const uint32_t* at(uint32_t index) const {
    if (index < in_window_) return window_entry(args_, p_, window_begin_ + index);
    const uint32_t other = index - in_window_;
    return compressed_entry(args_, p_, p_.mode == kAttendIds ? ids_[1 + other] : other);
  }

 private:
  const CpuArgs& args_;
  const AttentionParams& p_;
  const uint32_t* ids_;
  uint32_t window_begin_ = 0;
  uint32_t in_window_ = 0;
  uint32_t others_ = 0;
};

// Online softmax of one head: what has been summed is relative to exp(largest).
struct HeadState {
  float largest = 0;
  float total = 1;
  float sum[kAttentionMaxDim];
};

// Adds `count` decoded entries [count, dim] to one head.
[[maybe_unused]] void attend_tile(HeadState& head, const float* q, const float* entries, uint32_t count, uint32_t dim,
                                  float root) {
  float scores[kAttentionTile];
  float largest = head.largest;
  for (uint32_t e = 0; e < count; ++e) {
    scores[e] = dot_lanes(q, entries + size_t{e} * dim, dim) / root;
    largest = std::max(largest, scores[e]);
  }
  if (largest > head.largest) {
    const float keep = std::exp(head.largest - largest);
    for (uint32_t i = 0; i < dim; ++i) head.sum[i] *= keep;
    head.total *= keep;
    head.largest = largest;
  }
  for (uint32_t e = 0; e < count; ++e) {
    const float weight = std::exp(scores[e] - largest);
    head.total += weight;
    add_scaled(head.sum, weight, entries + size_t{e} * dim, dim);
  }
}

[[maybe_unused]] void finish_head(float* o, const HeadState& head, const uint32_t* table, const AttentionParams& p) {
  for (uint32_t i = 0; i < p.dim; ++i) o[i] = head.sum[i] / head.total;
  float* turned = o + p.dim - p.rope;
  for (uint32_t i = 0; i < p.rope; i += 2) {
    const float cosine = std::bit_cast<float>(table[i]);
    const float sine = std::bit_cast<float>(table[i + 1]);
    const float even = turned[i];
    const float odd = turned[i + 1];
    turned[i] = even * cosine + odd * sine;
    turned[i + 1] = odd * cosine - even * sine;
  }
}

[[maybe_unused]] void attention_item(const CpuArgs& args, const AttentionParams& p, uint32_t t, uint32_t first_head) {
  const AttendedEntries attended(args, p, t);
  const uint32_t heads = std::min(kAttentionHeads, p.heads - first_head);
  const size_t first_row = size_t{t} * p.heads + first_head;
  const float* q = args.bindings[0].as<float>() + first_row * p.dim;
  const float root = std::sqrt(static_cast<float>(p.dim));
  HeadState states[kAttentionHeads];
  float entries[kAttentionTile * kAttentionMaxDim];
  for (uint32_t h = 0; h < heads; ++h) {
    states[h].largest = args.bindings[5].as<float>()[first_head + h];
    std::fill_n(states[h].sum, p.dim, 0.0f);
  }
  for (uint32_t begin = 0; begin < attended.count(); begin += kAttentionTile) {
    const uint32_t count = std::min(kAttentionTile, attended.count() - begin);
    for (uint32_t e = 0; e < count; ++e) {
      decode_kv_entry(entries + size_t{e} * p.dim, attended.at(begin + e), p.dim, p.rope, p.format);
    }
    for (uint32_t h = 0; h < heads; ++h) attend_tile(states[h], q + size_t{h} * p.dim, entries, count, p.dim, root);
  }
  float* o = args.bindings[6].as<float>() + first_row * p.dim;
  const uint32_t* table = args.step_words.data() + p.rope_at + size_t{t} * p.rope;
  for (uint32_t h = 0; h < heads; ++h) finish_head(o + size_t{h} * p.dim, states[h], table, p);
}

[[maybe_unused]] void attention_run(const CpuArgs& args, uint64_t begin, uint64_t end) {
  const auto p = args.get<AttentionParams>();
  const uint64_t groups = (p.heads + kAttentionHeads - 1) / kAttentionHeads;
  for (uint64_t item = begin; item < end; ++item) {
    attention_item(args, p, static_cast<uint32_t>(item / groups),
                   static_cast<uint32_t>(item % groups) * kAttentionHeads);
  }
}

}  // namespace
}  // namespace nibble
