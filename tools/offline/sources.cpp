#include <algorithm>
#include <charconv>

#include "runtime/core/source_assembler.h"
#include "tools/offline/compilers.h"

namespace nibble::offline {

std::string opencl_source(const KernelChoice& choice) {
  const KernelSpec& kernel = *choice.kernel;
  const Variant& variant = *choice.variant;
  if (variant.dialect.value_or(Dialect::kOpenCl) != Dialect::kOpenCl || !variant.texels.empty()) return "";
  if (!CapabilitySet{}.covers(variant.requires_)) return "";
  const auto slab_bindings = std::count_if(kernel.bindings.begin(), kernel.bindings.end(),
                                           [](const auto& b) { return b.kind == BindingKind::kSlabs; });
  const std::vector<SlabShape> slabs(static_cast<size_t>(slab_bindings));
  return assemble_source(kernel, variant, slabs, Dialect::kOpenCl);
}

int64_t number_after(std::string_view text, std::string_view label) {
  const size_t at = text.find(label);
  int64_t value = 0;
  if (at != text.npos) std::from_chars(text.data() + at + label.size(), text.data() + text.size(), value);
  return value;
}

int64_t number_before(std::string_view text, std::string_view label) {
  const size_t end = text.find(label);
  if (end == text.npos) return 0;
  size_t begin = end;
  while (begin > 0 && text[begin - 1] >= '0' && text[begin - 1] <= '9') --begin;
  int64_t value = 0;
  std::from_chars(text.data() + begin, text.data() + end, value);
  return value;
}

}  // namespace nibble::offline
