#include "runtime/core/kernel_table.h"
#include "shaders/head/embed/embed_spec.h"

namespace nibble {

const KernelSpec& kernels::embed_bf16() {
  static const KernelSpec spec = embed_spec<true>("embed_bf16");
  return spec;
}

}  // namespace nibble
