// Workgroups: their memory and barriers, the indices that invocations see, grids, loops and branches.
#include <array>

#include "tools/conformance/probe_sets.h"
#include "tools/conformance/texts.h"

namespace nibble::conformance {
namespace {

constexpr ElementType kF32 = ElementType::kF32;
constexpr ElementType kU32 = ElementType::kU32;

struct SeedParams {
  uint32_t seed = 0;
};

constexpr uint32_t kWorkgroups = 7;

Grid seven_workgroups(std::span<const std::byte>, const Variant&) { return {.x = GridDim::constant(kWorkgroups)}; }
Grid one_workgroup(std::span<const std::byte>, const Variant&) { return {.x = GridDim::constant(1)}; }

template <size_t kWords>
std::vector<KernelCase> seed_cases() {
  return {{"seeded", [](Rng& rng) {
             CaseData data{.params = pack_params(SeedParams{.seed = rng.below(1u << 16)})};
             data.bindings.push_back(spec::blank(kWords));
             return data;
           }}};
}

std::vector<Expected> barrier_reference(const CaseData& data) {
  const uint32_t seed = unpack_params<SeedParams>(data.params).seed;
  Expected out{.binding = 0};
  for (uint32_t workgroup = 0; workgroup < kWorkgroups; ++workgroup) {
    for (uint32_t i = 0; i < 64; ++i) {
      uint32_t value = i * 3 + workgroup + seed;
      for (uint32_t round = 1; round <= 5; ++round) value += 7 * round;
      out.words.push_back(value);
    }
  }
  return {out};
}

Probe barrier() {
  return {.spec = {.name = "probe_barrier",
                   .formula = "out[g,i] = 3i + g + seed + 7·(1 + … + 5), every term added by another invocation",
                   .bindings = {output("result", kU32)},
                   .params = {{"seed"}},
                   .variants = {{.name = "portable",
                                 .text = conformance_text("probes/barrier.kernel"),
                                 .workgroup = 64,
                                 .shared = {{"cells", kU32, "WG"}}}},
                   .grid = seven_workgroups,
                   .cases = seed_cases<kWorkgroups * 64>,
                   .reference = barrier_reference,
                   .tolerance = {.eps = 0, .why = "integers"},
                   .cost = no_cost},
          .fact = "what an invocation writes to workgroup memory, the others see after BARRIER()",
          .symptom = "sums over a workgroup miss terms or change from run to run",
          .relied_on_by = {"*__wg*", "*__tile*", "*__portable", "*__gemv*"}};
}

// The least that every device has: 16 KiB.
constexpr uint32_t kSharedWords = 4096;

std::vector<Expected> shared_reference(const CaseData& data) {
  const uint32_t seed = unpack_params<SeedParams>(data.params).seed;
  Expected y{.binding = 0};
  for (uint32_t workgroup = 0; workgroup < kWorkgroups; ++workgroup) {
    for (uint32_t row = 0; row < kSharedWords / 64; ++row) {
      for (uint32_t i = 0; i < 64; ++i) y.words.push_back(workgroup * 0x10001 + (row * 64 + 63 - i) * 7 + seed);
    }
  }
  return {y};
}

Probe shared_memory() {
  return {.spec = {.name = "probe_workgroup_memory",
                   .formula = "y[g,j,i] = what invocation WG-1-i of workgroup g stored in row j of 16 KiB",
                   .bindings = {output("y", kU32)},
                   .params = {{"seed"}},
                   .variants = {{.name = "portable",
                                 .text = conformance_text("probes/shared_reverse.kernel"),
                                 .workgroup = 64,
                                 .constants = {{"SHARED_WORDS", kSharedWords}},
                                 .shared = {{"cells", kU32, "SHARED_WORDS"}}}},
                   .grid = seven_workgroups,
                   .cases = seed_cases<kWorkgroups * kSharedWords>,
                   .reference = shared_reference,
                   .tolerance = {.eps = 0, .why = "integers"},
                   .cost = no_cost},
          .fact = "a workgroup has 16 KiB of memory of its own",
          .symptom = "tiles of matrices are mixed up between workgroups",
          .relied_on_by = {"*__tile*", "*__portable", "*__gemv*"}};
}

std::vector<KernelCase> atomics_cases() {
  return {{"histogram", [](Rng& rng) {
             std::vector<uint32_t> words = random_words(rng, 5003);
             for (size_t i = 0; i < words.size(); i += 2) words[i] &= ~28u;  // most meet in four of the counts
             return element_case(5003, {words}, {kWorkgroups * 32});
           }}};
}

std::vector<Expected> atomics_reference(const CaseData& data) {
  std::array<uint32_t, 32> counts{};
  for (const uint32_t word : words_in(data, 0)) ++counts[word % 32];
  Expected y{.binding = 1};
  for (uint32_t workgroup = 0; workgroup < kWorkgroups; ++workgroup)
    y.words.insert(y.words.end(), counts.begin(), counts.end());
  return {y};
}

Probe atomics() {
  return {.spec = {.name = "probe_workgroup_atomics",
                   .formula = "y[g,b] = how many words of a end in b",
                   .bindings = {input("a", kU32), output("y", kU32)},
                   .params = {{"n"}},
                   .variants = {{.name = "portable",
                                 .text = conformance_text("probes/shared_atomics.kernel"),
                                 .workgroup = 64,
                                 .shared = {{"counts", kU32, "32"}}}},
                   .grid = seven_workgroups,
                   .cases = atomics_cases,
                   .reference = atomics_reference,
                   .tolerance = {.eps = 0, .why = "integers"},
                   .cost = no_cost},
          .fact = "atomic additions to workgroup memory lose nothing",
          .symptom = "top-k selects too many or too few entries",
          .relied_on_by = {"topk_*"}};
}

// The first variant's 64 invocations take part; the others differ in how many that are, so the sums do too.
constexpr uint32_t kSumWords = kWorkgroups * 128;

std::vector<KernelCase> sum_cases() {
  return {{"integers", [](Rng& rng) {
             std::vector<float> a;
             for (uint32_t i = 0; i < kSumWords; ++i) a.push_back(static_cast<float>(rng.below(1000)) - 300.0f);
             return element_case(0, {bits_of(a)}, {kWorkgroups});
           }}};
}

template <uint32_t kWg>
std::vector<Expected> sum_reference(const CaseData& data) {
  const auto a = floats_in(data, 0);
  Expected y{.binding = 1};
  for (uint32_t workgroup = 0; workgroup < kWorkgroups; ++workgroup) {
    double sum = 0;
    for (uint32_t i = 0; i < kWg; ++i) sum += a[workgroup * kWg + i];
    y.values.push_back(sum);
  }
  return {y};
}

template <uint32_t kWg>
Probe tree_sum(std::string_view name) {
  return {.spec = {.name = name,
                   .formula = "y[g] = Σ_i a[g,i] by a tree",
                   .bindings = {input("a", kF32), output("y", kF32)},
                   .params = {{"n"}},
                   .variants = {{.name = "portable",
                                 .text = conformance_text("probes/shared_sum.kernel"),
                                 .workgroup = kWg,
                                 .shared = {{"partial", kF32, "WG"}}}},
                   .grid = seven_workgroups,
                   .cases = sum_cases,
                   .reference = sum_reference<kWg>,
                   .tolerance = {.eps = 0, .why = "small integers: every order gives the same sum"},
                   .cost = no_cost},
          .fact = "a tree of sums with a barrier per level adds every invocation's value once",
          .symptom = "norms, softmax sums and matrix rows miss terms",
          .relied_on_by = {"rms_*", "hc_*", "attention_*", "gemm_*", "moe_*", "encode_*"}};
}

struct IndexParams {
  uint32_t workgroups_x = 5;
  uint32_t workgroups_y = 7;
  uint32_t workgroups_z = 3;
};

Grid index_grid(std::span<const std::byte> params, const Variant&) {
  const auto p = unpack_params<IndexParams>(params);
  return {.x = GridDim::constant(p.workgroups_x),
          .y = GridDim::constant(p.workgroups_y),
          .z = GridDim::constant(p.workgroups_z)};
}

template <uint32_t kWg>
std::vector<KernelCase> index_cases() {
  std::vector<KernelCase> cases;
  for (const IndexParams shape : {IndexParams{},
                                  {.workgroups_x = 1, .workgroups_y = 1, .workgroups_z = 1},
                                  {.workgroups_x = 2, .workgroups_y = 1, .workgroups_z = 11}}) {
    cases.push_back({"shape_" + std::to_string(cases.size()), [shape](Rng&) {
                       CaseData data{.params = pack_params(shape)};
                       data.bindings.push_back(
                           spec::blank(size_t{kWg} * shape.workgroups_x * shape.workgroups_y * shape.workgroups_z));
                       return data;
                     }});
  }
  return cases;
}

template <uint32_t kWg>
std::vector<Expected> index_reference(const CaseData& data) {
  const auto p = unpack_params<IndexParams>(data.params);
  Expected out{.binding = 0};
  for (uint32_t z = 0; z < p.workgroups_z; ++z) {
    for (uint32_t y = 0; y < p.workgroups_y; ++y) {
      for (uint32_t x = 0; x < p.workgroups_x; ++x) {
        for (uint32_t local = 0; local < kWg; ++local) {
          uint32_t mixed = kWg;
          for (const uint32_t part : {local, x, y, z, p.workgroups_x}) mixed = mixed * 31 + part;
          out.words.push_back(mixed);
        }
      }
    }
  }
  return {out};
}

template <uint32_t kWg>
Probe indices(std::string_view name) {
  return {
      .spec = {.name = name,
               .formula = "y = WG, local, x, y, z and X of every invocation, mixed",
               .bindings = {output("y", kU32)},
               .params = {{"workgroups_x"}, {"workgroups_y"}, {"workgroups_z"}},
               .variants = {{.name = "portable", .text = conformance_text("probes/indices.kernel"), .workgroup = kWg}},
               .grid = index_grid,
               .cases = index_cases<kWg>,
               .reference = index_reference<kWg>,
               .tolerance = {.eps = 0, .why = "integers"},
               .cost = no_cost},
      .fact = "every invocation of a three-dimensional grid runs once and knows where it is",
      .symptom = "rows or tokens are missing or computed twice",
      .relied_on_by = {"*"}};
}

struct LoopParams {
  uint32_t rounds = 0;
};

// llvmpipe ends an invocation's loops after 65,535 rounds, in silence; no kernel may need more.
std::vector<KernelCase> loop_cases() {
  std::vector<KernelCase> cases;
  for (const uint32_t rounds : {0u, 1u, 1000u, 65534u}) {
    cases.push_back({"rounds_" + std::to_string(rounds), [rounds](Rng&) {
                       CaseData data{.params = pack_params(LoopParams{rounds})};
                       data.bindings.push_back(spec::blank(32));
                       return data;
                     }});
  }
  return cases;
}

std::vector<Expected> loop_reference(const CaseData& data) {
  const uint32_t rounds = unpack_params<LoopParams>(data.params).rounds;
  Expected y{.binding = 0};
  for (uint32_t x = 0; x < 32; ++x) {
    uint32_t value = x;
    for (uint32_t round = 0; round < rounds; ++round) value = value * 1664525u + 1013904223u;
    y.words.push_back(value);
  }
  return {y};
}

Probe long_loop() {
  return {
      .spec = {.name = "probe_long_loop",
               .formula = "y[i] = rounds steps of a congruential generator from i",
               .bindings = {output("y", kU32)},
               .params = {{"rounds"}},
               .variants = {{.name = "portable", .text = conformance_text("probes/long_loop.kernel"), .workgroup = 32}},
               .grid = one_workgroup,
               .cases = loop_cases,
               .reference = loop_reference,
               .tolerance = {.eps = 0, .why = "integers"},
               .cost = no_cost},
      .fact = "a loop runs as often as it says, up to 65,534 times",
      .symptom = "long contexts and long columns are cut short",
      .relied_on_by = {"*"}};
}

constexpr uint32_t kDivergent = 640;

std::vector<KernelCase> divergence_cases() {
  return {{"collatz", [](Rng&) { return element_case(kDivergent, {}, {kDivergent}); }}};
}

std::vector<Expected> divergence_reference(const CaseData&) {
  Expected y{.binding = 0};
  for (uint32_t i = 0; i < kDivergent; ++i) {
    uint32_t steps = i % 3 == 0 ? 1000 : 0;
    for (uint64_t n = i + 1; n != 1; n = n % 2 == 0 ? n / 2 : 3 * n + 1) ++steps;
    y.words.push_back(steps);
  }
  return {y};
}

Probe divergence() {
  return {.spec = per_element({.name = "probe_divergence",
                               .text = conformance_text("probes/divergence.kernel"),
                               .formula = "y[i] = steps of i + 1 to 1 by halving and 3n + 1",
                               .bindings = {output("y", kU32)},
                               .cases = divergence_cases,
                               .reference = divergence_reference}),
          .fact = "invocations of a workgroup leave loops and branches one by one, break and continue included",
          .symptom = "rows at the edge of a matrix and short lists are wrong",
          .relied_on_by = {"*"}};
}

std::vector<KernelCase> private_cases() {
  return {{"rotating", [](Rng& rng) { return element_case(131, {random_words(rng, 16 * 131)}, {131}); }}};
}

std::vector<Expected> private_reference(const CaseData& data) {
  const auto a = words_in(data, 0);
  Expected y{.binding = 1};
  for (uint32_t i = 0; i < 131; ++i) {
    uint32_t sum = 0;
    for (uint32_t k = 0; k < 16; ++k) sum += k * a[16 * i + (k + i) % 16];
    y.words.push_back(sum);
  }
  return {y};
}

Probe private_array() {
  return {.spec = per_element({.name = "probe_private_array",
                               .text = conformance_text("probes/private_array.kernel"),
                               .formula = "y[i] = Σ_k k·a[16i + (k + i) mod 16]",
                               .bindings = {input("a", kU32), output("y", kU32)},
                               .cases = private_cases,
                               .reference = private_reference}),
          .fact = "an invocation's own array is indexed by values known only at run time",
          .symptom = "accumulators of several rows or tokens are mixed up",
          .relied_on_by = {"gemm_*", "moe_*", "attention_*", "hc_*"}};
}

}  // namespace

std::vector<Probe> workgroup_probes() {
  return {barrier(),
          shared_memory(),
          atomics(),
          tree_sum<64>("probe_tree_sum_64"),
          tree_sum<128>("probe_tree_sum_128"),
          tree_sum<8>("probe_tree_sum_8"),
          indices<1>("probe_indices_1"),
          indices<8>("probe_indices_8"),
          indices<64>("probe_indices_64"),
          indices<128>("probe_indices_128"),
          long_loop(),
          divergence(),
          private_array()};
}

}  // namespace nibble::conformance
