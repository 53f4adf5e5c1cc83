#include "host/kv/kv_options.h"

#include "runtime/base/error.h"

namespace nibble {

Numerics numerics_from_name(std::string_view name) {
  if (name == "plain") return Numerics::kPlain;
  if (name == "reference") return Numerics::kReference;
  if (name == "fast") return Numerics::kFast;
  fail(ErrorCode::kUsage, "unknown numerics '{}'; known: plain, reference, fast", name);
}

std::string_view name_of(Numerics numerics) {
  switch (numerics) {
    case Numerics::kPlain:
      return "plain";
    case Numerics::kReference:
      return "reference";
    case Numerics::kFast:
      return "fast";
  }
  return "?";
}

KvRope kv_rope_from_name(std::string_view name) {
  if (name == "bf16") return KvRope::kBf16;
  if (name == "f32") return KvRope::kF32;
  fail(ErrorCode::kUsage, "unknown kv rope format '{}'; known: bf16, f32", name);
}

}  // namespace nibble
