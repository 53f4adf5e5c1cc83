#include <algorithm>

#include "host/layers/layers.h"
#include "runtime/core/kernel_table.h"
#include "shaders/experts/moe/moe.h"
#include "shaders/experts/moe_sum_f32/moe_sum_f32.h"
#include "shaders/experts/swiglu_f32/swiglu_f32.h"
#include "shaders/routing/gate_topk_f32/gate_topk_f32.h"

namespace nibble {
namespace {

// Experts [begin, end) and the slabs that hold them.
struct ExpertRange {
  uint32_t begin = 0;
  uint32_t end = 0;
  size_t first_slab = 0;
  size_t last_slab = 0;

  Binding of(const Binding& all) const {
    return Binding(
        {all.views.begin() + static_cast<ptrdiff_t>(first_slab), all.views.begin() + static_cast<ptrdiff_t>(last_slab)},
        all.items_per_slab);
  }
};

// A dispatch indexes all its experts on the device, so it binds all their slabs; where a device has too few bindings
// for that, the experts are cut into tiles with a dispatch each.
std::vector<ExpertRange> expert_ranges(const DeviceExperts& experts, uint32_t count, size_t slabs_per_range) {
  const auto per_slab = experts.weights.items_per_slab;
  std::vector<ExpertRange> tiles;
  for (size_t slab = 0; slab < experts.weights.views.size(); slab += slabs_per_range) {
    const size_t last = std::min(experts.weights.views.size(), slab + slabs_per_range);
    tiles.push_back({.begin = static_cast<uint32_t>(slab * per_slab),
                     .end = static_cast<uint32_t>(std::min<uint64_t>(count, last * per_slab)),
                     .first_slab = slab,
                     .last_slab = last});
  }
  return tiles;
}

Routing append_gate(Builder& b, const DeviceMoe& moe, const BufferView& x) {
  const ModelConfig& c = b.config();
  const BufferView logits = b.linear(moe.gate, x, "gate");
  const Routing routing{.ids = b.words(1, c.num_experts_per_tok, "gate.ids"),
                        .weights = b.temporary({}, c.num_experts_per_tok, "gate.weights")};
  const GateParams params{.experts = c.n_routed_experts,
                          .k = c.num_experts_per_tok,
                          .hash = moe.hash ? 1u : 0u,
                          .tokens_at = b.step().tokens_at,
                          .scale = c.routed_scaling_factor};
  b.add(kernels::gate_topk_f32(), pack_params(params),
        {logits, moe.hash ? logits : moe.bias, moe.hash ? moe.table : logits, routing.ids, routing.weights},
        "gate.topk");
  return routing;
}

// Tokens sorted by expert, for kernels that work through many tokens of one expert; the ids themselves, which such
// kernels do not read, where steps have too few tokens.
BufferView append_tiles(Builder& b, const Routing& routing) {
  if (!b.tiles_experts()) return routing.ids;
  const uint32_t k = b.config().num_experts_per_tok;
  const uint32_t experts = b.config().n_routed_experts;
  const uint32_t pairs = b.max_tokens() * k;
  BufferView tiles = b.words_once(moe_tiles_words(pairs, experts), "experts.tiles");
  const MoeTilesParams params{.k = k, .experts = experts, .order_at = moe_order_at(pairs, experts)};
  b.add(kernels::moe_tiles_u32(), pack_params(params), {routing.ids, tiles}, "experts.tiles");
  return tiles;
}

// h [T, k, width of an expert]
BufferView append_up(Builder& b, const DeviceMoe& moe, const Routing& routing, const BufferView& tiles,
                     const Activations& x) {
  const ModelConfig& c = b.config();
  const uint32_t k = c.num_experts_per_tok;
  const KernelSpec& kernel = b.kernel_of("moe_up", moe.w1.format, "experts.up");
  BufferView h = b.temporary({.rows_per_token = k}, c.moe_intermediate_size, "experts.h");
  for (const ExpertRange& range : expert_ranges(moe.w1, c.n_routed_experts, b.slabs_per_dispatch(4, 6))) {
    const MoeUpParams params{.rows = c.moe_intermediate_size,
                             .cols = c.hidden_size,
                             .k = k,
                             .expert_begin = range.begin,
                             .expert_end = range.end,
                             .limit = c.swiglu_limit,
                             .x_kind = static_cast<uint32_t>(x.kind),
                             .experts = c.n_routed_experts,
                             .order_at = moe_order_at(b.max_tokens() * k, c.n_routed_experts)};
    b.add(kernel, pack_params(params),
          {x.view, routing.ids, routing.weights, range.of(moe.w1.weights), range.of(moe.w1.scales),
           range.of(moe.w3.weights), range.of(moe.w3.scales), h, tiles},
          "experts.up");
  }
  return h;
}

// y [T, D]: few tokens, each summed over its experts by the kernel itself.
BufferView append_down(Builder& b, const DeviceMoe& moe, const Routing& routing, const Activations& h) {
  const ModelConfig& c = b.config();
  const KernelSpec& kernel = b.kernel_of("moe_down", moe.w2.format, "experts.down");
  BufferView y = b.temporary({}, c.hidden_size, "experts.y");
  for (const ExpertRange& range : expert_ranges(moe.w2, c.n_routed_experts, b.slabs_per_dispatch(2, 4))) {
    const MoeDownParams params{.rows = c.hidden_size,
                               .cols = c.moe_intermediate_size,
                               .k = c.num_experts_per_tok,
                               .expert_begin = range.begin,
                               .expert_end = range.end,
                               .accumulate = range.begin == 0 ? 0u : 1u,
                               .x_kind = static_cast<uint32_t>(h.kind)};
    b.add(kernel, pack_params(params), {h.view, routing.ids, range.of(moe.w2.weights), range.of(moe.w2.scales), y},
          "experts.down");
  }
  return y;
}

// y [T, D]: many tokens, a product per pair by tiles of one expert, then the sum over each token's experts.
BufferView append_tiled_down(Builder& b, const DeviceMoe& moe, const BufferView& tiles, const Activations& h) {
  const ModelConfig& c = b.config();
  const uint32_t k = c.num_experts_per_tok;
  const KernelSpec& kernel = b.kernel_of("moe_pairs", moe.w2.format, "experts.pairs");
  const BufferView parts = b.temporary({.rows_per_token = k}, c.hidden_size, "experts.parts");
  for (const ExpertRange& range : expert_ranges(moe.w2, c.n_routed_experts, b.slabs_per_dispatch(2, 4))) {
    const MoePairsParams params{.rows = c.hidden_size,
                                .cols = c.moe_intermediate_size,
                                .k = k,
                                .expert_begin = range.begin,
                                .expert_end = range.end,
                                .x_kind = static_cast<uint32_t>(h.kind),
                                .experts = c.n_routed_experts,
                                .order_at = moe_order_at(b.max_tokens() * k, c.n_routed_experts)};
    b.add(kernel, pack_params(params), {h.view, range.of(moe.w2.weights), range.of(moe.w2.scales), tiles, parts},
          "experts.pairs");
  }
  BufferView y = b.temporary({}, c.hidden_size, "experts.y");
  b.add(kernels::moe_sum_f32(), pack_params(MoeSumParams{.rows = c.hidden_size, .k = k}), {parts, y}, "experts.sum");
  return y;
}

}  // namespace

BufferView append_routed(Builder& b, const DeviceMoe& moe, const Routing& routing, const Activations& x) {
  const BufferView tiles = append_tiles(b, routing);
  const BufferView h = append_up(b, moe, routing, tiles, x);
  const Activations h_fp8 =
      b.quantised(h, b.config().moe_intermediate_size, "experts.h", {.rows_per_token = b.config().num_experts_per_tok});
  return b.tiles_experts() ? append_tiled_down(b, moe, tiles, h_fp8) : append_down(b, moe, routing, h_fp8);
}

BufferView append_moe(Builder& b, const DeviceMoe& moe, const BufferView& x, LayerTaps& taps) {
  const ModelConfig& c = b.config();
  const Routing routing = append_gate(b, moe, x);
  taps.experts = routing.ids;
  taps.expert_weights = routing.weights;
  const Activations x_fp8 = b.quantised(x, c.hidden_size, "x");
  BufferView y = append_routed(b, moe, routing, x_fp8);

  const BufferView g = b.linear(moe.shared_w1, x_fp8, "shared.w1");
  const BufferView u = b.linear(moe.shared_w3, x_fp8, "shared.w3");
  BufferView h = b.temporary({}, moe.shared_w1.rows, "shared.h");
  b.add(kernels::swiglu_f32(), pack_params(SwigluParams{.cols = moe.shared_w1.rows, .limit = c.swiglu_limit}),
        {g, u, h}, "shared.swiglu");
  b.linear(moe.shared_w2, b.quantised(h, moe.shared_w1.rows, "shared.h"), y, "shared.w2", {.accumulate = true});
  return y;
}

}  // namespace nibble
