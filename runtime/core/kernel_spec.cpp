#include "runtime/core/kernel_spec.h"

#include "runtime/base/error.h"

namespace nibble {

const BindingSpec& KernelSpec::binding(std::string_view binding_name) const {
  for (const BindingSpec& spec : bindings) {
    if (spec.name == binding_name) return spec;
  }
  fail(ErrorCode::kInternal, "kernel '{}' has no binding '{}'", name, binding_name);
}

uint32_t element_bytes(ElementType type) { return type == ElementType::kU32 || type == ElementType::kF32 ? 4 : 16; }

}  // namespace nibble
