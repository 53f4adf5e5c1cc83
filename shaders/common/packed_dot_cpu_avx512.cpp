// Packed products without bf16 or int8 instructions: everything in f32, exact for every kind of activations.
#if defined(__AVX512F__) && defined(__AVX512VBMI__)

#include "shaders/common/packed_dot_cpu_method.h"

namespace nibble {

template <>
const PackedDot& packed_dot<WeightFormat::kFp4, CpuIsa::kAvx512>(XKind) {
  return kPackedDot<WeightFormat::kFp4, Math::kF32>;
}
template <>
const PackedDot& packed_dot<WeightFormat::kFp8, CpuIsa::kAvx512>(XKind) {
  return kPackedDot<WeightFormat::kFp8, Math::kF32>;
}
template <>
const PackedDot& packed_dot<WeightFormat::kBf16, CpuIsa::kAvx512>(XKind) {
  return kPackedDot<WeightFormat::kBf16, Math::kF32>;
}
template <>
const PackedDot& packed_dot<WeightFormat::kF32, CpuIsa::kAvx512>(XKind) {
  return kPackedDot<WeightFormat::kF32, Math::kF32>;
}

}  // namespace nibble

#endif
