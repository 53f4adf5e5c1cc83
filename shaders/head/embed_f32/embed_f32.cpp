#include "runtime/core/kernel_table.h"
#include "shaders/head/embed/embed_spec.h"

namespace nibble {

const KernelSpec& kernels::embed_f32() {
  static const KernelSpec spec = embed_spec<false>("embed_f32");
  return spec;
}

}  // namespace nibble
