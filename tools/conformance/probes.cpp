// Spec and reference of every probe; the texts are in tools/conformance/probes.
#include "shaders/common/spec_util.h"
#include "tools/conformance/probe.h"

namespace nibble::conformance {
namespace {

struct SeedParams {
  uint32_t seed = 0;
};

constexpr uint32_t kBarrierGroups = 7;

Grid barrier_grid(std::span<const std::byte>, const Variant&) {
  return {.x = GridDim::constant(kBarrierGroups), .y = GridDim::constant(1), .z = GridDim::constant(1)};
}

std::vector<KernelCase> barrier_cases() {
  return {{"rotate", [](Rng& rng) {
             CaseData data{.params = pack_params(SeedParams{.seed = rng.below(1u << 16)})};
             data.bindings.push_back(spec::blank(kBarrierGroups * 64));
             return data;
           }}};
}

std::vector<Expected> barrier_reference(const CaseData& data) {
  const uint32_t seed = unpack_params<SeedParams>(data.params).seed;
  Expected out{.binding = 0};
  for (uint32_t group = 0; group < kBarrierGroups; ++group) {
    for (uint32_t i = 0; i < 64; ++i) {
      uint32_t value = i * 3 + group + seed;
      for (uint32_t round = 1; round <= 5; ++round) value += 7 * round;
      out.words.push_back(value);
    }
  }
  return {out};
}

Cost no_cost(std::span<const std::byte>, const StepHeader&) { return {}; }

Probe barrier() {
  return {.spec = {.name = "probe_barrier",
                   .formula = "out[g,i] = 3i + g + seed + 7·(1 + … + 5), every term added by another invocation",
                   .bindings = {{"result", ElementType::kU32, Access::kWrite, BindingKind::kBuffer, "[groups, WG]"}},
                   .params = {{"seed"}},
                   .variants = {{.name = "portable",
                                 .text = "probes/barrier.kernel",
                                 .workgroup = 64,
                                 .shared = {{"cells", ElementType::kU32, "WG"}}}},
                   .grid = barrier_grid,
                   .cases = barrier_cases,
                   .reference = barrier_reference,
                   .tolerance = {.eps = 0, .why = "integers"},
                   .cost = no_cost},
          .fact = "what an invocation writes to workgroup memory, the others see after BARRIER()",
          .symptom = "sums over a workgroup miss terms or change from run to run",
          .relied_on_by = {"*__wg*", "*__tile*", "*__portable"}};
}

}  // namespace

const std::vector<Probe>& probes() {
  static const std::vector<Probe> all = {barrier()};
  return all;
}

}  // namespace nibble::conformance
