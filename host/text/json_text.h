// JSON from files nobody vouches for: size, nesting and number of values are bounded before memory is spent on them,
// and a repeated key is an error (two readers could otherwise see two different files). Errors are one line.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace nibble {

struct JsonLimits {
  size_t max_bytes = size_t{64} << 20;
  size_t max_depth = 64;
  // A value costs at least 16 bytes in memory: 8 million keep the parsed form of hostile input near 128 MiB. The
  // largest released checkpoint's index has 0.15 million.
  size_t max_values = size_t{8} << 20;
};

// `source` is the name used in errors. Throws kInvalidFile.
nlohmann::json parse_json(std::string_view text, const std::string& source, const JsonLimits& limits = {});
// The same, with the members of objects in their order.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& source,
                                          const JsonLimits& limits = {});

// A whole regular file of at most `max_bytes`. Throws kNotFound, kInvalidFile (too large) or kIo.
std::string read_text_file(const std::string& path, size_t max_bytes);

// A value as it may appear in an error: one line of printable ASCII, shortened to 60 characters.
std::string json_excerpt(const nlohmann::json& value);

// Any text as it may appear in an error: quotes kept, other bytes than printable ASCII and UTF-8 letters escaped.
std::string printable(std::string_view text);

}  // namespace nibble
