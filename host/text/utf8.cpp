#include "host/text/utf8.h"

#include <algorithm>
#include <cstring>

namespace nibble {
namespace {

struct Lead {
  size_t size;        // of the whole sequence; 0 for a byte that starts none
  uint8_t low, high;  // the range of the second byte, narrower than 80..BF after E0, ED, F0 and F4
  uint8_t payload_mask;
};

Lead lead_of(uint8_t byte) {
  if (byte < 0x80) return {1, 0, 0, 0x7f};
  if (byte < 0xc2 || byte > 0xf4) return {0, 0, 0, 0};
  if (byte < 0xe0) return {2, 0x80, 0xbf, 0x1f};
  if (byte < 0xf0) {
    return {3, static_cast<uint8_t>(byte == 0xe0 ? 0xa0 : 0x80), static_cast<uint8_t>(byte == 0xed ? 0x9f : 0xbf),
            0x0f};
  }
  return {4, static_cast<uint8_t>(byte == 0xf0 ? 0x90 : 0x80), static_cast<uint8_t>(byte == 0xf4 ? 0x8f : 0xbf), 0x07};
}

// Prose and code are mostly ASCII: eight bytes at a time.
size_t ascii_prefix(std::string_view text) {
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, 8);
    if ((word & 0x8080808080808080u) != 0) break;
  }
  return i;
}

}  // namespace

Utf8Step utf8_step(std::string_view text) {
  const auto first = static_cast<uint8_t>(text[0]);
  const Lead lead = lead_of(first);
  if (lead.size == 0) return {Utf8Step::Kind::kInvalid, 1, 0};
  char32_t code_point = first & lead.payload_mask;
  for (size_t i = 1; i < lead.size; ++i) {
    if (i == text.size()) return {Utf8Step::Kind::kTruncated, i, 0};
    const auto byte = static_cast<uint8_t>(text[i]);
    const uint8_t low = i == 1 ? lead.low : 0x80;
    const uint8_t high = i == 1 ? lead.high : 0xbf;
    if (byte < low || byte > high) return {Utf8Step::Kind::kInvalid, i, 0};
    code_point = (code_point << 6) | (byte & 0x3fu);
  }
  return {Utf8Step::Kind::kValid, lead.size, code_point};
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    i += ascii_prefix(text.substr(i));
    if (i == text.size()) break;
    const Utf8Step step = utf8_step(text.substr(i));
    if (step.kind != Utf8Step::Kind::kValid) break;
    i += step.size;
  }
  return i;
}

std::string utf8_lossy(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t valid = valid_utf8_prefix(text);
    out += text.substr(0, valid);
    text.remove_prefix(valid);
    if (text.empty()) break;
    out += kReplacementCharacter;
    text.remove_prefix(utf8_step(text).size);
  }
  return out;
}

void append_utf8(std::string& out, char32_t code_point) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80u | ((code_point >> shift) & 0x3fu)); };
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += static_cast<char>(0xc0u | (code_point >> 6));
    tail(0);
  } else if (code_point < 0x10000) {
    out += static_cast<char>(0xe0u | (code_point >> 12));
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0u | (code_point >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

bool is_unicode_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= '\t' && c <= '\r');
  constexpr char32_t kOthers[] = {0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000};
  return (c >= 0x2000 && c <= 0x200a) || std::find(std::begin(kOthers), std::end(kOthers), c) != std::end(kOthers);
}

}  // namespace nibble
