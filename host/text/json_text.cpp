#include "host/text/json_text.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/base/error.h"

namespace nibble {
namespace {

constexpr size_t kExcerptLength = 60;

// Watches the parser's events: the parser itself neither bounds nesting nor notices repeated keys.
class ParseGuard {
 public:
  ParseGuard(const std::string& source, const JsonLimits& limits) : source_(source), limits_(limits) {}

  template <typename Json>
  void operator()(typename Json::parse_event_t event, const Json& parsed) {
    using Event = typename Json::parse_event_t;
    switch (event) {
      case Event::object_start:
        count_value();
        enter();
        break;
      case Event::array_start:
        count_value();
        enter();
        break;
      case Event::object_end:
      case Event::array_end:
        keys_.pop_back();
        break;
      case Event::key:
        check_key(parsed.template get_ref<const std::string&>());
        break;
      case Event::value:
        count_value();
        break;
    }
  }

 private:
  void count_value() {
    if (++values_ > limits_.max_values) {
      fail(ErrorCode::kInvalidFile, "{}: more than {} JSON values", source_, limits_.max_values);
    }
  }

  void enter() {
    keys_.emplace_back();
    if (keys_.size() > limits_.max_depth) {
      fail(ErrorCode::kInvalidFile, "{}: JSON nested deeper than {} levels", source_, limits_.max_depth);
    }
  }

  void check_key(const std::string& key) {
    if (!keys_.back().insert(key).second) {
      fail(ErrorCode::kInvalidFile, "{}: key '{}' appears twice in one JSON object", source_, printable(key));
    }
  }

  const std::string& source_;
  const JsonLimits& limits_;
  std::vector<std::set<std::string>> keys_;
  size_t values_ = 0;
};

template <typename Json>
Json parse_bounded(std::string_view text, const std::string& source, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    fail(ErrorCode::kInvalidFile, "{}: {} bytes of JSON, allowed {}", source, text.size(), limits.max_bytes);
  }
  ParseGuard guard(source, limits);
  try {
    return Json::parse(text.begin(), text.end(), [&](int, typename Json::parse_event_t event, Json& parsed) {
      guard(event, parsed);
      return true;
    });
  } catch (const typename Json::parse_error& error) {
    fail(ErrorCode::kInvalidFile, "{}: not valid JSON at byte {} of {}", source, error.byte, text.size());
  } catch (const typename Json::exception&) {
    fail(ErrorCode::kInvalidFile, "{}: not valid JSON: a number is out of range", source);
  }
}

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& source, const JsonLimits& limits) {
  return parse_bounded<nlohmann::json>(text, source, limits);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& source, const JsonLimits& limits) {
  return parse_bounded<nlohmann::ordered_json>(text, source, limits);
}

std::string read_text_file(const std::string& path, size_t max_bytes) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) fail(ErrorCode::kNotFound, "{}: no such file", path);
  if (!std::filesystem::is_regular_file(status)) fail(ErrorCode::kInvalidFile, "{}: not a regular file", path);
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (error) fail(ErrorCode::kIo, "{}: {}", path, error.message());
  if (size > max_bytes) fail(ErrorCode::kInvalidFile, "{}: {} bytes, allowed {}", path, size, max_bytes);
  std::string text(static_cast<size_t>(size), '\0');
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorCode::kIo, "{}: cannot be opened for reading", path);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (static_cast<uintmax_t>(file.gcount()) != size) fail(ErrorCode::kIo, "{}: cannot be read", path);
  return text;
}

std::string json_excerpt(const nlohmann::json& value) {
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > kExcerptLength) text = text.substr(0, kExcerptLength) + "...";
  return text;
}

std::string printable(std::string_view text) {
  size_t shown = std::min(text.size(), 4 * kExcerptLength);
  // Not inside a character: its continuation bytes are 10xxxxxx.
  while (shown > 0 && shown < text.size() && (static_cast<unsigned char>(text[shown]) & 0xc0u) == 0x80) --shown;
  std::string out;
  for (const char c : text.substr(0, shown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  if (shown < text.size()) out += "...";
  return out;
}

}  // namespace nibble
