#include "runtime/core/workgroup_memory.h"

#include <cctype>
#include <charconv>

#include "runtime/base/error.h"

namespace nibble {
namespace {

// Left to right, as C evaluates them: `/` cuts off.
class CountExpression {
 public:
  CountExpression(const Variant& variant, std::string_view text) : variant_(variant), text_(text), rest_(text) {}

  uint64_t value() {
    const uint64_t result = sum();
    if (!rest_.empty()) malformed();
    return result;
  }

 private:
  [[noreturn]] void malformed() const {
    fail(ErrorCode::kInternal, "variant '{}': '{}' is not a number of elements", variant_.name, text_);
  }

  void skip_spaces() {
    while (rest_.starts_with(' ')) rest_.remove_prefix(1);
  }

  bool take(char symbol) {
    skip_spaces();
    if (!rest_.starts_with(symbol)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  uint64_t sum() {
    uint64_t result = product();
    while (take('+')) result += product();
    return result;
  }

  uint64_t product() {
    uint64_t result = factor();
    while (true) {
      if (take('*')) {
        result *= factor();
      } else if (take('/')) {
        const uint64_t divisor = factor();
        if (divisor == 0) malformed();
        result /= divisor;
      } else {
        return result;
      }
    }
  }

  uint64_t factor() {
    if (take('(')) {
      const uint64_t inner = sum();
      if (!take(')')) malformed();
      return inner;
    }
    size_t length = 0;
    while (length < rest_.size() && (std::isalnum(static_cast<unsigned char>(rest_[length])) || rest_[length] == '_')) {
      ++length;
    }
    const std::string_view word = rest_.substr(0, length);
    rest_.remove_prefix(length);
    uint64_t number = 0;
    const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (!word.empty() && problem == std::errc() && end == word.data() + word.size()) return number;
    if (word == "WG") return variant_.workgroup;
    for (const ConstantValue& constant : variant_.constants) {
      if (constant.name == word) return constant.value;
    }
    malformed();
  }

  const Variant& variant_;
  std::string_view text_;
  std::string_view rest_;
};

}  // namespace

uint64_t workgroup_memory_of(const Variant& variant) {
  uint64_t bytes = 0;
  for (const SharedArray& array : variant.shared) {
    bytes += CountExpression(variant, array.count).value() * element_bytes(array.type);
  }
  return bytes;
}

}  // namespace nibble
