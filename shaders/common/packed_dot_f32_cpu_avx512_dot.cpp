#if defined(__AVX512BF16__) && defined(__AVX512VBMI__)

#include "shaders/common/packed_dot_cpu_method.h"

namespace nibble {

template <>
const PackedDot& packed_dot<WeightFormat::kF32, CpuIsa::kAvx512Dot>(XKind) {
  return kPackedDot<WeightFormat::kF32, Math::kF32>;
}

}  // namespace nibble

#endif
