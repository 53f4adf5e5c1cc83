#if defined(__AVX512BF16__) && defined(__AVX512VNNI__) && defined(__AVX512VBMI__)

#include "shaders/common/packed_dot_cpu_int8.h"
#include "shaders/common/packed_dot_cpu_method.h"

namespace nibble {

template <>
const PackedDot& packed_dot<WeightFormat::kFp4, CpuIsa::kAvx512Dot>(XKind kind) {
  if (kind == XKind::kCoarse) return kPackedDotInt8;
  return kind == XKind::kFloat ? kPackedDot<WeightFormat::kFp4, Math::kF32>
                               : kPackedDot<WeightFormat::kFp4, Math::kBf16>;
}

}  // namespace nibble

#endif
