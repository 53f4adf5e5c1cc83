// KernelSpec: the one description of a kernel that recording, tests, benchmarks and conformance share. Constant data;
// each lives in shaders/<kernel>/<kernel>.cpp and is listed in shaders/kernels.inc.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/rng.h"
#include "runtime/core/device_info.h"
#include "runtime/core/step.h"

namespace nibble {

enum class Dialect { kGlsl, kOpenCl };
enum class ElementType { kU32, kF32, kU32x4, kF32x4 };
enum class Access { kRead, kWrite, kReadWrite };
enum class BindingKind {
  kBuffer,  // one view
  kSlabs,   // a long array of equal items cut into views of `items_per_slab` items, so that none exceeds a device's
            // limits
  kStep,    // the program's step words; bound by the backend, never by the caller
};

struct BindingSpec {
  std::string_view name;
  ElementType type = ElementType::kF32;
  Access access = Access::kRead;
  BindingKind kind = BindingKind::kBuffer;
  std::string_view shape;  // "[n_tokens, cols]"; documentation
};

struct ParamSpec {
  std::string_view name;
  bool is_float = false;
};

struct ConstantValue {
  std::string_view name;
  uint32_t value = 0;
};

// Workgroup memory; `count` may name constants of the variant: "WG * 4".
struct SharedArray {
  std::string_view name;
  ElementType type = ElementType::kF32;
  std::string_view count;
};

// Variant::min_rows of a variant that is for checks only.
inline constexpr uint32_t kNeverChosen = UINT32_MAX;

// One way to run a kernel. The first variant of a kernel is the portable one: it requires nothing.
struct Variant {
  std::string_view name;    // "portable", "wg64", "wide"
  std::string_view text;    // path under shaders/, e.g. "rms_norm_rope/rms_norm_rope.kernel"
  uint32_t workgroup = 64;  // invocations in x, also the constant WG in the text
  std::vector<ConstantValue> constants;
  std::vector<SharedArray> shared;
  CapabilitySet requires_;
  bool for_wide_cpu = false;  // preferred on drivers that run kernels on the host's processor
  uint32_t min_rows = 0;      // the default where a step may bring at least so many rows of activations
  uint32_t requires_rows =
      0;  // never used, not even forced, where a step brings fewer: it reads what only then is there
  // Set: never used, not even forced, for params of which it says no. For texts that know one format of several.
  bool (*serves)(std::span<const std::byte> params) = nullptr;
  std::optional<Dialect> dialect;        // set: the text is written in that one only
  std::vector<std::string_view> uses;    // further texts under shaders/ that go before it, in this order
  std::vector<std::string_view> texels;  // read-only bindings read through uniform texel buffers (GLSL only)
};

// ---- test cases -------------------------------------------------------------------------------------------------

struct CaseBinding {
  std::vector<std::byte> content;  // initial bytes; for outputs the size counts, the harness poisons kWrite bindings
  uint64_t item_bytes = 0;         // slabs only: bytes of one item
};

// One concrete problem: everything a dispatch needs. `bindings` follow KernelSpec::bindings; the kStep one stays empty.
struct CaseData {
  std::vector<std::byte> params;
  std::vector<uint32_t> step;
  std::vector<CaseBinding> bindings;
};

// A size of a case that may be made smaller: a multiple of `multiple`.
struct CaseSize {
  std::string name;
  uint32_t value = 0;
  uint32_t multiple = 1;
};

struct KernelCase {
  std::string name;
  std::function<CaseData(Rng&)> make;
  // Where the case can be made at other sizes: those it has, and the same case with one value for each of them.
  std::vector<CaseSize> sizes;
  std::function<CaseData(Rng&, std::span<const uint32_t> values)> resized;
};

// Marks an element of an f32 output that must stay as it was before the dispatch: a NaN that no arithmetic gives.
inline constexpr double kUntouched = std::bit_cast<double>(uint64_t{0x7ff8'6b65'7074'6b65});
// Marks one that may hold anything.
inline constexpr double kAnything = std::bit_cast<double>(uint64_t{0x7ff8'616e'7974'6867});
inline bool is_anything(double value) { return std::bit_cast<uint64_t>(value) == std::bit_cast<uint64_t>(kAnything); }
inline bool is_untouched(double value) { return std::bit_cast<uint64_t>(value) == std::bit_cast<uint64_t>(kUntouched); }

// What one output binding must hold. Exactly one of values/words/custom is used.
struct Expected {
  size_t binding = 0;
  // f32 outputs: a number, what f32 rounds to infinity (then exactly that), any NaN (then one, not the one that was
  // there before where the binding is only written), kUntouched or kAnything.
  std::vector<double> values;
  std::vector<double> scales;   // per element: magnitude that rounding errors are relative to; empty = |value|
  std::vector<double> slack;    // per element: added to what the tolerance allows; empty = nothing
  std::vector<uint32_t> words;  // exact words
  std::function<std::optional<std::string>(std::span<const std::byte>)> custom;  // message on failure
};

struct Tolerance {
  double eps = 4;       // allowed |got − want| in units of 2^-23 · scale
  double absolute = 0;  // plus this
  std::string_view why;
};

struct Cost {
  uint64_t bytes = 0;
  uint64_t flops = 0;
};

struct KernelSpec {
  std::string_view name;     // <op>_<weights>_<activations>
  std::string_view formula;  // with shapes
  std::vector<BindingSpec> bindings;
  std::vector<ParamSpec> params;  // in the order of the params struct's members, each 4 bytes
  std::vector<Variant> variants;
  Grid (*grid)(std::span<const std::byte> params, const Variant& variant) = nullptr;
  std::vector<KernelCase> (*cases)() = nullptr;
  std::vector<Expected> (*reference)(const CaseData& data) = nullptr;  // double, nested loops, no code of the kernel
  Tolerance tolerance;
  Cost (*cost)(std::span<const std::byte> params, const StepHeader& step) = nullptr;

  const BindingSpec& binding(std::string_view binding_name) const;
};

// Params travel as the bytes of a plain struct of u32/f32 members.
template <typename P>
std::vector<std::byte> pack_params(const P& params) {
  static_assert(std::is_trivially_copyable_v<P> && sizeof(P) % 4 == 0);
  std::vector<std::byte> bytes(sizeof(P));
  std::memcpy(bytes.data(), &params, sizeof(P));
  return bytes;
}
template <typename P>
P unpack_params(std::span<const std::byte> bytes) {
  P params;
  std::memcpy(&params, bytes.data(), sizeof(P));
  return params;
}

uint32_t element_bytes(ElementType type);

}  // namespace nibble
