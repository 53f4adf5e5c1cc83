// How memory, params and the step's words reach a kernel.
#include <bit>

#include "tools/conformance/probe_sets.h"
#include "tools/conformance/texts.h"

namespace nibble::conformance {
namespace {

constexpr ElementType kU32 = ElementType::kU32;
constexpr ElementType kU32x4 = ElementType::kU32x4;
constexpr ElementType kF32x4 = ElementType::kF32x4;

Grid one_workgroup(std::span<const std::byte>, const Variant&) { return {.x = GridDim::constant(1)}; }

// ---- the first and the last word of a view ------------------------------------------------------------------------

std::vector<KernelCase> edge_cases() {
  std::vector<KernelCase> cases;
  for (const uint32_t n : {1u, 3u, 1021u}) {
    cases.push_back(
        {"words_" + std::to_string(n), [n](Rng& rng) { return element_case(n, {random_words(rng, n)}, {n}); }});
  }
  return cases;
}

std::vector<Expected> edge_reference(const CaseData& data) {
  const auto a = words_in(data, 0);
  Expected y{.binding = 1};
  // What lies between is what the harness put there, so only the ends are looked at.
  y.custom = [a](std::span<const std::byte> bytes) -> std::optional<std::string> {
    const auto found = spec::from_bytes<uint32_t>(bytes);
    if (found.front() == a.back() && found.back() == a.front()) return std::nullopt;
    return "the first word is " + std::to_string(found.front()) + ", want " + std::to_string(a.back()) +
           "; the last is " + std::to_string(found.back()) + ", want " + std::to_string(a.front());
  };
  return {y};
}

Probe edge_words() {
  return {.spec = {.name = "probe_edge_words",
                   .formula = "y[0] = a[n-1], y[n-1] = a[0]",
                   .bindings = {input("a", kU32), output("y", kU32)},
                   .params = {{"n"}},
                   .variants = {{.name = "portable",
                                 .text = conformance_text("probes/edge_words.kernel"),
                                 .workgroup = 32}},
                   .grid = one_workgroup,
                   .cases = edge_cases,
                   .reference = edge_reference,
                   .tolerance = {.eps = 0, .why = "words"},
                   .cost = no_cost},
          .fact = "the first and the last word of a view in the middle of a buffer are read and written, no other",
          .symptom = "the last rows of a matrix or the neighbours of an activation are wrong",
          .relied_on_by = {"*"}};
}

// ---- vectors ------------------------------------------------------------------------------------------------------

std::vector<KernelCase> vector_cases() {
  return {{"odd_count", [](Rng& rng) {
             const auto a = random_words(rng, 4 * 131);
             const auto b = bits_of(wide_floats(rng, 4 * 131, -9, 10));
             return element_case(131, {a, b}, {4 * 131, 4 * 131});
           }}};
}

std::vector<Expected> vector_reference(const CaseData& data) {
  std::vector<Expected> expected = {{.binding = 2}, {.binding = 3}};
  for (size_t k = 0; k < 2; ++k) {
    const auto from = words_in(data, k);
    for (size_t i = 0; i < from.size(); ++i) expected[k].words.push_back(from[i / 4 * 4 + 3 - i % 4]);
  }
  return expected;
}

KernelSpec vector_spec(std::string_view name) {
  return per_element({.name = name,
                      .text = conformance_text("probes/vectors.kernel"),
                      .formula = "y, z = a, b with the four parts of every vector turned round",
                      .bindings = {input("a", kU32x4), input("b", kF32x4), output("y", kU32x4), output("z", kF32x4)},
                      .cases = vector_cases,
                      .reference = vector_reference});
}

Probe vectors() {
  return {.spec = vector_spec("probe_vectors"),
          .fact = "uint4 and float4 are read and written with their parts in order",
          .symptom = "weights are multiplied by the wrong activations",
          .relied_on_by = {"gemm_*", "moe_*", "attention_*", "indexer_*"}};
}

Probe texels() {
  KernelSpec spec = vector_spec("probe_texels");
  spec.variants.front().name = "texels";
  spec.variants.front().texels = {"a", "b"};
  spec.variants.front().requires_ = {Capability::kTexelBuffers};
  spec.variants.front().dialect = Dialect::kGlsl;
  return {.spec = std::move(spec),
          .fact = "uniform texel buffers give the same bits as storage buffers",
          .symptom = "matrix products of the texel variants are wrong",
          .relied_on_by = {"*texels*"}};
}

// ---- slabs --------------------------------------------------------------------------------------------------------

struct SlabParams {
  uint32_t items = 0;
  uint32_t stride = 0;
};

Grid slab_grid(std::span<const std::byte> params, const Variant& variant) {
  const auto p = unpack_params<SlabParams>(params);
  return {.x = GridDim::constant(spec::ceil_div(p.items * p.stride, variant.workgroup))};
}

std::vector<KernelCase> slab_cases() {
  return {{"thirteen_items", [](Rng& rng) {
             CaseData data{.params = pack_params(SlabParams{.items = 13, .stride = 40})};
             data.bindings.push_back({.content = spec::to_bytes(random_words(rng, 13 * 40)), .item_bytes = 160});
             data.bindings.push_back(spec::blank(13 * 40));
             return data;
           }}};
}

std::vector<Expected> slab_reference(const CaseData& data) {
  const auto w = words_in(data, 0);
  Expected y{.binding = 1};
  for (size_t i = 0; i < w.size(); ++i) y.words.push_back(w[(12 - i / 40) * 40 + i % 40]);
  return {y};
}

Probe slabs() {
  return {.spec = {.name = "probe_slabs",
                   .formula = "y = the items of w in reverse order",
                   .bindings = {{"w", kU32, Access::kRead, BindingKind::kSlabs, "[items, stride]"}, output("y", kU32)},
                   .params = {{"items"}, {"stride"}},
                   .variants = {{.name = "portable", .text = conformance_text("probes/slabs.kernel"), .workgroup = 64}},
                   .grid = slab_grid,
                   .cases = slab_cases,
                   .reference = slab_reference,
                   .tolerance = {.eps = 0, .why = "words"},
                   .cost = no_cost},
          .fact = "several buffers are told apart in one dispatch, chosen by a value known only at run time",
          .symptom = "wrong experts and wrong embeddings are read",
          .relied_on_by = {"moe_*", "embed_*"}};
}

// ---- params and step words ----------------------------------------------------------------------------------------

struct ManyParams {
  uint32_t a, b, c;
  float d;
  uint32_t e;
  float f;
  uint32_t g, h;
};

std::vector<KernelCase> params_cases() {
  return {{"eight", [](Rng& rng) {
             const auto word = [&] { return static_cast<uint32_t>(rng.next_u64()); };
             CaseData data{.params = pack_params(ManyParams{.a = word(),
                                                            .b = word(),
                                                            .c = word(),
                                                            .d = static_cast<float>(rng.normal()),
                                                            .e = word(),
                                                            .f = static_cast<float>(rng.normal()),
                                                            .g = word(),
                                                            .h = word()})};
             data.bindings.push_back(spec::blank(8));
             return data;
           }}};
}

std::vector<Expected> params_reference(const CaseData& data) {
  return {{.binding = 0, .words = spec::from_bytes<uint32_t>(data.params)}};
}

Probe params() {
  return {.spec = {.name = "probe_params",
                   .formula = "y[i] = param i",
                   .bindings = {output("y", kU32)},
                   .params = {{"a"}, {"b"}, {"c"}, {"d", true}, {"e"}, {"f", true}, {"g"}, {"h"}},
                   .variants = {{.name = "portable", .text = conformance_text("probes/params.kernel"), .workgroup = 1}},
                   .grid = one_workgroup,
                   .cases = params_cases,
                   .reference = params_reference,
                   .tolerance = {.eps = 0, .why = "words"},
                   .cost = no_cost},
          .fact = "params arrive as they were recorded",
          .symptom = "any kernel is wrong in any way: sizes and offsets are params",
          .relied_on_by = {"*"}};
}

Grid token_grid(std::span<const std::byte>, const Variant&) { return {.x = GridDim::tokens()}; }

std::vector<KernelCase> step_cases() {
  std::vector<KernelCase> cases;
  for (const uint32_t tokens : {1u, 17u, 400u}) {
    cases.push_back({"tokens_" + std::to_string(tokens), [tokens](Rng& rng) {
                       const StepHeader header = {.n_tokens = tokens, .position = 3 + rng.below(1000)};
                       CaseData data{.step = spec::step_words(header, random_words(rng, tokens))};
                       data.bindings = {spec::blank(tokens), {}};
                       return data;
                     }});
  }
  return cases;
}

std::vector<Expected> step_reference(const CaseData& data) {
  Expected y{.binding = 0};
  for (size_t i = kStepHeaderWords; i < data.step.size(); ++i) {
    y.words.push_back(data.step[i] + 1000 * data.step[kStepPosition]);
  }
  return {y};
}

}  // namespace

KernelSpec step_words_spec(std::string_view name) {
  return {.name = name,
          .formula = "y[t] = step[8 + t] + 1000·position for every token of the step",
          .bindings = {output("y", kU32), {"step", kU32, Access::kRead, BindingKind::kStep, ""}},
          .params = {},
          .variants = {{.name = "portable", .text = conformance_text("probes/step_words.kernel"), .workgroup = 8}},
          .grid = token_grid,
          .cases = step_cases,
          .reference = step_reference,
          .tolerance = {.eps = 0, .why = "words"},
          .cost = no_cost};
}

std::vector<Probe> binding_probes() {
  return {edge_words(),
          vectors(),
          texels(),
          slabs(),
          params(),
          {.spec = step_words_spec("probe_step_words"),
           .fact = "the step's words and the grid that they give reach the device",
           .symptom = "prompts of some lengths give garbage",
           .relied_on_by = {"*"}}};
}

}  // namespace nibble::conformance
