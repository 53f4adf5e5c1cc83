// What became of one case on one device.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nibble::conformance {

enum class Verdict {
  kPass,
  kFail,              // an output differs from the reference, or a byte changed that must not
  kNondeterministic,  // two runs gave different bits
  kUnsupported,       // the device announces less than the kernel needs
  kCrash,             // the process ended
  kHang,              // the time limit passed
  kError,             // an API call failed, or the device was lost
  kSkipped,           // not run: another case of the variant crashed or hung, or took a quick run's time, or it
                      // does not serve these params
};
std::string_view name_of(Verdict verdict);
// Throws kInvalidFile for a word that is none.
Verdict verdict_from_name(std::string_view name);

// The output element that is furthest off, measured in what is allowed.
struct WorstElement {
  std::string binding;
  uint64_t index = 0;
  double found = 0;
  double expected = 0;
  double allowed = 0;  // |found − expected| may be so large
  bool is_word = false;

  // |found − expected| / allowed; infinite for NaN and for any error where none is allowed.
  double share() const;
};

struct CaseResult {
  Verdict verdict = Verdict::kPass;
  std::string message;  // one line: what is wrong where; empty for kPass
  std::optional<WorstElement> worst;
  uint64_t wrong = 0;     // elements beyond what is allowed
  uint64_t elements = 0;  // compared
  double seconds = 0;
};

}  // namespace nibble::conformance
