#include "tools/conformance/verdict.h"

#include <array>
#include <cmath>
#include <limits>

#include "runtime/base/error.h"

namespace nibble::conformance {
namespace {

constexpr std::array<std::string_view, 8> kNames = {"pass", "fail",  "nondeterministic", "unsupported", "crash",
                                                    "hang", "error", "skipped"};

}  // namespace

std::string_view name_of(Verdict verdict) { return kNames.at(static_cast<size_t>(verdict)); }

Verdict verdict_from_name(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return static_cast<Verdict>(i);
  }
  fail(ErrorCode::kInvalidFile, "'{}' is no verdict, expected one of {}", name, fmt::join(kNames, ", "));
}

double WorstElement::share() const {
  const double error = std::fabs(found - expected);
  if (error == 0) return 0;
  if (!(error >= 0) || !(allowed > 0)) return std::numeric_limits<double>::infinity();
  return error / allowed;
}

}  // namespace nibble::conformance
