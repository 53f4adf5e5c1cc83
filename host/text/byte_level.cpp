#include "host/text/byte_level.h"

#include "host/text/utf8.h"

namespace nibble {
namespace {

constexpr char32_t kAlphabetEnd = 0x100 + 68;

constexpr bool stands_for_itself(uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte != 0xad);
}

constexpr std::array<char32_t, 256> make_alphabet() {
  std::array<char32_t, 256> alphabet{};
  char32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) alphabet[byte] = stands_for_itself(byte) ? byte : next++;
  return alphabet;
}

constexpr std::array<char32_t, 256> kAlphabet = make_alphabet();

constexpr std::array<int16_t, kAlphabetEnd> make_inverse() {
  std::array<int16_t, kAlphabetEnd> inverse{};
  inverse.fill(-1);
  for (uint32_t byte = 0; byte < 256; ++byte) inverse[kAlphabet[byte]] = static_cast<int16_t>(byte);
  return inverse;
}

constexpr std::array<int16_t, kAlphabetEnd> kInverse = make_inverse();

}  // namespace

const std::array<char32_t, 256>& byte_alphabet() { return kAlphabet; }

std::optional<std::string> bytes_from_alphabet(std::string_view written) {
  std::string bytes;
  bytes.reserve(written.size());
  while (!written.empty()) {
    const Utf8Step step = utf8_step(written);
    if (step.kind != Utf8Step::Kind::kValid || step.code_point >= kAlphabetEnd) return std::nullopt;
    const int16_t byte = kInverse[step.code_point];
    if (byte < 0) return std::nullopt;
    bytes += static_cast<char>(byte);
    written.remove_prefix(step.size);
  }
  return bytes;
}

std::string bytes_to_alphabet(std::string_view bytes) {
  std::string written;
  for (const char byte : bytes) append_utf8(written, kAlphabet[static_cast<uint8_t>(byte)]);
  return written;
}

}  // namespace nibble
