// The byte-level alphabet: each of the 256 bytes is written in tokenizer files as one printable character (GPT-2's
// scheme): printable Latin-1 stands for itself, the 68 others for U+0100 onwards, in order.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nibble {

// The character that stands for each byte.
const std::array<char32_t, 256>& byte_alphabet();

// The bytes that `written` stands for; nothing if a character is outside the alphabet.
std::optional<std::string> bytes_from_alphabet(std::string_view written);

// The way `bytes` is written.
std::string bytes_to_alphabet(std::string_view bytes);

}  // namespace nibble
