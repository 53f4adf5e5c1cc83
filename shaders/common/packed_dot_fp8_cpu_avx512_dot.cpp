#if defined(__AVX512BF16__) && defined(__AVX512VBMI__)

#include "shaders/common/packed_dot_cpu_method.h"

namespace nibble {

template <>
const PackedDot& packed_dot<WeightFormat::kFp8, CpuIsa::kAvx512Dot>(XKind kind) {
  return kind == XKind::kFloat ? kPackedDot<WeightFormat::kFp8, Math::kF32>
                               : kPackedDot<WeightFormat::kFp8, Math::kBf16>;
}

}  // namespace nibble

#endif
