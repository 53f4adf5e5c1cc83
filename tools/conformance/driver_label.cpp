#include "tools/conformance/driver_label.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace nibble::conformance {
namespace {

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string words_of(const std::string& text) {
  std::string label;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      label += c;
    } else if (!label.empty() && label.back() != '_') {
      label += '_';
    }
  }
  while (!label.empty() && label.back() == '_') label.pop_back();
  return label;
}

}  // namespace

std::string driver_label(const DeviceInfo& info) {
  if (info.backend == BackendKind::kCpu) return "cpu";
  const std::string text = lower(info.name + " " + info.driver);
  const auto contains = [&](std::string_view part) { return text.find(part) != std::string::npos; };
  if (contains("llvmpipe")) return "lavapipe";
  if (contains("swiftshader")) return "swiftshader";
  if (contains("oclgrind")) return "oclgrind";
  if (contains("pocl") || contains("pthread") || contains("portable computing")) return "pocl";
  if (contains("intel(r) opencl") && info.is_wide_cpu()) return "intel_cpu";
  const std::string label = words_of(lower(info.driver));
  return label.empty() ? words_of(lower(info.id)) : label;
}

}  // namespace nibble::conformance
