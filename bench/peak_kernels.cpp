#include "bench/peak_kernels.h"

#include <deque>
#include <string>

#include <fmt/format.h>

namespace nibble::bench {
namespace {

Grid peak_grid(std::span<const std::byte> params, const Variant&) {
  return {.x = GridDim::constant(unpack_params<PeakParams>(params).workgroups)};
}

constexpr std::string_view kFirst = R"(uint lane = WORKGROUP_X * WG + LOCAL;
uint first = p.stride == 1u ? lane * p.count : lane;
)";

// X_LOAD reads the storage buffer, or texels where the variant says so: llvmpipe loads a vector of lanes from a texel
// buffer at once and lane by lane from a storage buffer.
std::string read_text() {
  return std::string(kFirst) + R"(uint4 a = make_uint4(0u, 0u, 0u, 0u);
uint4 b = a;
for (uint i = 0u; i < p.count; i += 2u) {
  a ^= X_LOAD((first + i * p.stride) & p.mask);
  b ^= X_LOAD((first + (i + 1u) * p.stride) & p.mask);
}
y[lane] = a ^ b;
)";
}

std::string copy_text() {
  return std::string(kFirst) + R"(for (uint i = 0u; i < p.count; ++i) {
  uint at = (first + i * p.stride) & p.mask;
  y[at] = x[at];
}
)";
}

// `chains` independent sums of `lanes` floats each, so that a multiply-add need not wait for the one before.
struct MathText {
  uint32_t chains = 4;
  bool fused = false;  // fma(); mul and add otherwise, which a driver may or may not fuse
  bool wide = false;   // float16 vectors (OpenCL only)
};

std::string f32_text(const MathText& how) {
  const std::string type = how.wide ? "float16" : "float4";
  const std::string cast = how.wide ? "(float16)" : "splat4";
  std::string text = "uint lane = WORKGROUP_X * WG + LOCAL;\n";
  text += fmt::format("{0} f = {1}(p.factor);\n{0} t = {1}(p.term);\n", type, cast);
  std::string sum;
  for (uint32_t c = 0; c < how.chains; ++c) {
    text += fmt::format("{0} a{1} = {2}(to_f32(lane + {1}u));\n", type, c, cast);
    sum += fmt::format("{}a{}", c == 0 ? "" : " + ", c);
  }
  text += "for (uint i = 0u; i < p.count; ++i) {\n";
  for (uint32_t c = 0; c < how.chains; ++c) {
    text += fmt::format(fmt::runtime(how.fused ? "  a{0} = fma(a{0}, f, t);\n" : "  a{0} = a{0} * f + t;\n"), c);
  }
  text += fmt::format("}}\n{} s = {};\n", type, sum);
  text += how.wide ? "float all = s.s0 + s.s5 + s.sa + s.sf;\n" : "float all = s.x + s.y + s.z + s.w;\n";
  return text + "uint bits = as_u32(all);\ny[lane] = make_uint4(bits, bits, bits, bits);\n";
}

// Stored words are decoded in registers, as kernels without instructions for the format do. The words change with i, so
// that no compiler decodes them once and for all, and stay numbers between 1 and 2.
std::string decode_text(std::string_view start, std::string_view declare, std::string_view round,
                        std::string_view total) {
  return fmt::format(
      "uint lane = WORKGROUP_X * WG + LOCAL;\n{}\n"
      "for (uint i = 0u; i < p.count; ++i) {{\n  uint4 w = make_uint4({}, {}, {}, {});\n  {}\n}}\n"
      "uint bits = as_u32({});\ny[lane] = make_uint4(bits, bits, bits, bits);\n",
      declare, start, start, start, start, round, total);
}

std::string bf16_text(Dialect dialect) {
  const std::string_view as4 = dialect == Dialect::kGlsl ? "uintBitsToFloat" : "as_float4";
  return decode_text("0x3f803f80u + (i & 63u) + lane % 2u", "float4 a = splat4(0.0f);\nfloat4 b = a;",
                     fmt::format("a = a + {0}(w << 16u) * p.factor;\n  b = b + {0}(w & 0xffff0000u) * p.factor;", as4),
                     "a.x + a.y + a.z + a.w + b.x + b.y + b.z + b.w");
}

std::string f16_text(Dialect dialect) {
  constexpr std::string_view kStart = "0x3c003c00u + (i & 63u) + lane % 2u";
  if (dialect == Dialect::kOpenCl) {
    return decode_text(kStart, "float8 a = (float8)(0.0f);",
                       "a = a + vload_half8(0, (__private const half*)&w) * p.factor;",
                       "a.s0 + a.s1 + a.s2 + a.s3 + a.s4 + a.s5 + a.s6 + a.s7");
  }
  return decode_text(kStart, "vec2 a = vec2(0.0);\nvec2 b = a;\nvec2 c = a;\nvec2 d = a;",
                     "a += unpackHalf2x16(w.x) * p.factor;\n  b += unpackHalf2x16(w.y) * p.factor;\n"
                     "  c += unpackHalf2x16(w.z) * p.factor;\n  d += unpackHalf2x16(w.w) * p.factor;",
                     "a.x + a.y + b.x + b.y + c.x + c.y + d.x + d.y");
}

std::string int8_text(Dialect dialect) {
  constexpr std::string_view kStart = "0x01020304u + (i & 63u) + lane % 2u";
  if (dialect == Dialect::kOpenCl) {
    return decode_text(kStart, "int16 a = (int16)(0);", "a = a + convert_int16(as_char16(w)) * (int)p.mask;",
                       "to_f32(a.s0 + a.s1 + a.s5 + a.sa + a.sf)");
  }
  return decode_text(kStart, "ivec4 a = ivec4(0);\nivec4 b = a;\nivec4 c = a;\nivec4 d = a;\nint f = int(p.mask);",
                     "ivec4 s = ivec4(w);\n  a += bitfieldExtract(s, 0, 8) * f;\n  b += bitfieldExtract(s, 8, 8) * f;\n"
                     "  c += bitfieldExtract(s, 16, 8) * f;\n  d += bitfieldExtract(s, 24, 8) * f;",
                     "to_f32(a.x + a.y + b.z + b.w + c.x + c.y + d.z + d.w)");
}

// How a text is run.
struct Way {
  uint32_t workgroup = 64;
  bool contiguous = false;
  bool texels = false;  // x is read through a uniform texel buffer (GLSL only)
  std::optional<Dialect> dialect;
  uint32_t flops = 0;  // per round of an invocation
};

class Maker {
 public:
  void add(PeakKind kind, std::string name, std::string text, const Way& way) {
    texts_.push_back(std::move(text));
    names_.push_back(std::move(name));
    kernel_names_.push_back(fmt::format("peak_{}", name_of(kind)));
    const bool copies = kind == PeakKind::kCopy;
    PeakKernel kernel{.kind = kind, .contiguous = way.contiguous, .flops_per_round = way.flops};
    kernel.spec = {.name = kernel_names_.back(),
                   .bindings = {{"x", ElementType::kU32x4, Access::kRead, BindingKind::kBuffer, "[mask + 1]"},
                                {"y", ElementType::kU32x4, Access::kWrite, BindingKind::kBuffer,
                                 copies ? "[mask + 1]" : "[lanes]"}},
                   .params = {{"count"}, {"stride"}, {"mask"}, {"workgroups"}, {"factor", true}, {"term", true}},
                   .variants = {{.name = names_.back(),
                                 .text = texts_.back(),
                                 .workgroup = way.workgroup,
                                 .dialect = way.dialect}},
                   .grid = peak_grid};
    if (way.texels) kernel.spec.variants.front().texels = {"x"};
    kernels_.push_back(std::move(kernel));
  }
  const std::vector<PeakKernel>& kernels() const { return kernels_; }

 private:
  std::deque<std::string> texts_, names_, kernel_names_;  // what the specs' views point at
  std::vector<PeakKernel> kernels_;
};

void add_memory(Maker& maker, uint32_t workgroup, bool contiguous) {
  const std::string name = fmt::format("{}wg{}", contiguous ? "runs_" : "", workgroup);
  const Way way = {.workgroup = workgroup, .contiguous = contiguous};
  maker.add(PeakKind::kRead, name, read_text(), way);
  maker.add(PeakKind::kCopy, name, copy_text(), way);
  Way texels = way;
  texels.texels = true;
  texels.dialect = Dialect::kGlsl;
  maker.add(PeakKind::kRead, "texels_" + name, read_text(), texels);
}

void add_f32(Maker& maker, uint32_t workgroup, bool fused) {
  const std::string name = fmt::format("{}wg{}", fused ? "fma_" : "mul_add_", workgroup);
  maker.add(PeakKind::kF32, name, f32_text({.chains = 4, .fused = fused}),
            {.workgroup = workgroup, .flops = 2 * 4 * 4});
  maker.add(PeakKind::kF32, name + "_vec16", f32_text({.chains = 8, .fused = fused, .wide = true}),
            {.workgroup = workgroup, .dialect = Dialect::kOpenCl, .flops = 2 * 8 * 16});
}

void add_decoding(Maker& maker, uint32_t workgroup, Dialect dialect) {
  const std::string name = fmt::format("decode_wg{}", workgroup);
  const Way eight = {.workgroup = workgroup, .dialect = dialect, .flops = 2 * 8};
  maker.add(PeakKind::kF16, name, f16_text(dialect), eight);
  maker.add(PeakKind::kBf16, name, bf16_text(dialect), eight);
  maker.add(PeakKind::kInt8, name, int8_text(dialect), {.workgroup = workgroup, .dialect = dialect, .flops = 2 * 16});
}

Maker make_kernels() {
  Maker maker;
  for (const uint32_t workgroup : {64u, 8u}) {
    for (const bool choice : {false, true}) {
      add_memory(maker, workgroup, choice);
      add_f32(maker, workgroup, choice);
    }
    for (const Dialect dialect : {Dialect::kGlsl, Dialect::kOpenCl}) add_decoding(maker, workgroup, dialect);
  }
  return maker;
}

}  // namespace

std::string_view name_of(PeakKind kind) {
  switch (kind) {
    case PeakKind::kRead:
      return "read";
    case PeakKind::kCopy:
      return "copy";
    case PeakKind::kF32:
      return "f32";
    case PeakKind::kF16:
      return "f16";
    case PeakKind::kBf16:
      return "bf16";
    case PeakKind::kInt8:
      return "int8";
  }
  return "?";
}

const std::vector<PeakKernel>& peak_kernels() {
  static const Maker maker = make_kernels();
  return maker.kernels();
}

}  // namespace nibble::bench
