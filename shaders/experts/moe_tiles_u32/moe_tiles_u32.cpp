#include <fmt/format.h>

#include "runtime/core/kernel_table.h"
#include "shaders/experts/moe/moe_cases.h"

namespace nibble {
namespace {

Grid grid(std::span<const std::byte>, const Variant&) {
  return {.x = GridDim::constant(1), .y = GridDim::constant(1), .z = GridDim::constant(1)};
}

CaseData make_case(uint32_t k, uint32_t experts, uint32_t tokens, uint32_t favourites, Rng& rng) {
  const uint32_t pairs = tokens * k;
  CaseData data{
      .params = pack_params(MoeTilesParams{.k = k, .experts = experts, .order_at = moe_order_at(pairs, experts)}),
      .step = spec::step_words({.n_tokens = tokens, .position = 5})};
  std::vector<uint32_t> ids(pairs);
  for (uint32_t& id : ids) id = rng.below(rng.below(2) == 0 ? experts : favourites);
  ids.back() = experts - 1;
  data.bindings.push_back({.content = spec::to_bytes(ids)});
  // Nothing is 0 before: an earlier step left its tiles there.
  data.bindings.push_back(
      {.content = spec::to_bytes(std::vector<uint32_t>(moe_tiles_words(pairs, experts), 0xdeadbeefu))});
  data.bindings.emplace_back();
  return data;
}

std::vector<KernelCase> cases() {
  return {{"one_token", [](Rng& rng) { return make_case(6, 24, 1, 24, rng); }},
          {"full_tiles_and_empty_experts", [](Rng& rng) { return make_case(6, 257, 67, 2, rng); }},
          {"one_expert", [](Rng& rng) { return make_case(2, 1, 97, 1, rng); }},
          {"exactly_full_tiles", [](Rng& rng) { return make_case(1, 1, 128, 1, rng); }},
          {"several_blocks_of_pairs", [](Rng& rng) { return make_case(6, 512, 171, 60, rng); }},
          {"fewer_experts_than_invocations", [](Rng& rng) { return make_case(3, 7, 43, 3, rng); }}};
}

// The tail holds what the kernel works with, so the words are compared one by one up to the last pair.
std::optional<std::string> compare(std::span<const std::byte> found, const std::vector<uint32_t>& want, size_t pairs,
                                   uint32_t order_at) {
  const auto got = spec::from_bytes<uint32_t>(found);
  if (got[0] != want[0]) return fmt::format("[0] = {} tiles, want {}", got[0], want[0]);
  for (size_t i = 4; i < 4 + size_t{4} * want[0]; ++i) {
    if (got[i] != want[i]) return fmt::format("[{}] = {}, want {} (of tile {})", i, got[i], want[i], i / 4 - 1);
  }
  for (size_t i = order_at; i < order_at + pairs; ++i) {
    if (got[i] != want[i]) return fmt::format("[{}] = pair {}, want {}", i, got[i], want[i]);
  }
  return std::nullopt;
}

std::vector<Expected> reference(const CaseData& data) {
  const auto p = unpack_params<MoeTilesParams>(data.params);
  auto ids = spec::from_bytes<uint32_t>(data.bindings[0].content);
  ids.resize(size_t{read_step_header(data.step).n_tokens} * p.k);  // there may be room for more
  const auto want = spec::from_bytes<uint32_t>(tiled_pairs(ids, p.experts).content);
  return {{.binding = 1, .custom = [want, p, pairs = ids.size()](std::span<const std::byte> found) {
             return compare(found, want, pairs, p.order_at);
           }}};
}

Cost cost(std::span<const std::byte> params, const StepHeader& step) {
  const auto p = unpack_params<MoeTilesParams>(params);
  const uint64_t pairs = uint64_t{step.n_tokens} * p.k;
  return {.bytes = pairs * 12 + uint64_t{p.experts} * 8, .flops = 0};
}

}  // namespace

const KernelSpec& kernels::moe_tiles_u32() {
  static const KernelSpec spec{
      .name = "moe_tiles_u32",
      .formula = "tiles = the pairs (t, k) sorted by ids[t,k], in tiles of one expert",
      .bindings = {{"ids", ElementType::kU32, Access::kRead, BindingKind::kBuffer, "[T, k]"},
                   {"tiles", ElementType::kU32, Access::kReadWrite, BindingKind::kBuffer, "tiles, order, counts"},
                   {"step", ElementType::kU32, Access::kRead, BindingKind::kStep, ""}},
      .params = {{"k"}, {"experts"}, {"order_at"}},
      .variants = {{.name = "portable",
                    .text = "experts/moe_tiles_u32/moe_tiles_u32.kernel",
                    .workgroup = 256,
                    .constants = {{"TILE", kMoeTilePairs}},
                    .shared = {{.name = "block", .type = ElementType::kU32, .count = "WG"},
                               {.name = "pair_counts", .type = ElementType::kU32, .count = "WG"},
                               {.name = "tile_counts", .type = ElementType::kU32, .count = "WG"}}},
                   {.name = "wide",
                    .text = "experts/moe_tiles_u32/moe_tiles_serial.kernel",
                    .workgroup = 1,
                    .constants = {{"TILE", kMoeTilePairs}},
                    .for_wide_cpu = true}},
      .grid = grid,
      .cases = cases,
      .reference = reference,
      .tolerance = {.why = "integers are exact"},
      .cost = cost};
  return spec;
}

}  // namespace nibble
