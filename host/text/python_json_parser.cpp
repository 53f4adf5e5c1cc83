#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <system_error>

#include "host/text/python_json.h"
#include "host/text/utf8.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

// Positions are 32-bit.
constexpr size_t kMaxBytes = size_t{1} << 30;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_high_surrogate(char32_t unit) { return unit >= 0xd800 && unit < 0xdc00; }
bool is_low_surrogate(char32_t unit) { return unit >= 0xdc00 && unit < 0xe000; }

// What float(text) gives: rounded to nearest, infinite beyond the largest float.
double to_double(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // from_chars does not say whether the number was too large or too small. The program never sets a locale.
  return error == std::errc::result_out_of_range ? std::strtod(std::string(text).c_str(), nullptr) : value;
}

}  // namespace

class PythonJsonParser {
 public:
  PythonJsonParser(std::string_view text, std::string_view source) : text_(text), source_(source) {}

  PythonJson run() {
    if (text_.size() > kMaxBytes) {
      fail(ErrorCode::kInvalidFile, "{}: {} bytes of JSON, allowed {}", source_, text_.size(), kMaxBytes);
    }
    const size_t valid = valid_utf8_prefix(text_);
    if (valid != text_.size()) {
      fail(ErrorCode::kInvalidFile, "{}: byte {} of {} is not UTF-8", source_, valid + 1, text_.size());
    }
    json_.texts_.reserve(text_.size());
    skip_space();
    read_value({});
    while (!open_.empty()) {
      skip_space();
      read_next_child();
    }
    skip_space();
    if (at_ != text_.size()) bad();
    return std::move(json_);
  }

 private:
  using Node = PythonJson::Node;
  using Range = PythonJson::Range;

  struct Open {
    uint32_t node;
    uint32_t last_child = 0;
  };

  [[noreturn]] void bad() const {
    fail(ErrorCode::kInvalidFile, "{}: not valid JSON at byte {} of {}", source_, at_ + 1, text_.size());
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool take(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }

  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\n\r").find(text_[at_]) != std::string_view::npos) ++at_;
  }

  // A separator and the next element or member of the innermost container, or its end.
  void read_next_child() {
    const bool array = json_.nodes_[open_.back().node].kind == JsonKind::kArray;
    if (take(array ? ']' : '}')) {
      if (!array) keep_last_of_each_key(open_.back().node);
      open_.pop_back();
      return;
    }
    if (open_.back().last_child != 0) {
      if (!take(',')) bad();
      skip_space();
    }
    if (array) return read_value({});
    if (peek() != '"') bad();
    const Range key = read_string();
    skip_space();
    if (!take(':')) bad();
    skip_space();
    read_value(key);
  }

  // Appends a node; of a container only its beginning is read.
  void read_value(std::optional<Range> key) {
    const auto index = static_cast<uint32_t>(json_.nodes_.size());
    Node node;
    node.has_key = key.has_value();
    if (key) node.key = *key;
    if (take('[')) {
      node.kind = JsonKind::kArray;
    } else if (take('{')) {
      node.kind = JsonKind::kObject;
    } else {
      read_scalar(node);
    }
    json_.nodes_.push_back(node);
    if (!open_.empty()) {
      Open& parent = open_.back();
      (parent.last_child != 0 ? json_.nodes_[parent.last_child].next : json_.nodes_[parent.node].first_child) = index;
      parent.last_child = index;
    }
    if (node.kind == JsonKind::kArray || node.kind == JsonKind::kObject) open_.push_back({index});
  }

  void read_scalar(Node& node) {
    if (peek() == '"') {
      node.kind = JsonKind::kString;
      node.text = read_string();
      return;
    }
    struct Word {
      std::string_view text;
      JsonKind kind;
    };
    constexpr Word kWords[] = {{"null", JsonKind::kNull},      {"true", JsonKind::kBoolean},
                               {"false", JsonKind::kBoolean},  {"NaN", JsonKind::kFloat},
                               {"Infinity", JsonKind::kFloat}, {"-Infinity", JsonKind::kFloat}};
    for (const Word& word : kWords) {
      if (text_.substr(at_, word.text.size()) != word.text) continue;
      at_ += word.text.size();
      node.kind = word.kind;
      node.text = store(word.text);
      return;
    }
    read_number(node);
  }

  size_t skip_digits() {
    const size_t begin = at_;
    while (is_digit(peek())) ++at_;
    return at_ - begin;
  }

  void read_number(Node& node) {
    const size_t begin = at_;
    take('-');
    if (!take('0') && skip_digits() == 0) bad();
    node.kind = JsonKind::kInteger;
    if (take('.')) {
      node.kind = JsonKind::kFloat;
      if (skip_digits() == 0) bad();
    }
    if (take('e') || take('E')) {
      node.kind = JsonKind::kFloat;
      if (!take('+')) take('-');
      if (skip_digits() == 0) bad();
    }
    const std::string_view written = text_.substr(begin, at_ - begin);
    if (node.kind == JsonKind::kFloat) {
      node.text = store(python_float(to_double(written)));
    } else {
      node.text = store(written == "-0" ? "0" : written);
    }
  }

  Range store(std::string_view text) {
    const auto begin = static_cast<uint32_t>(json_.texts_.size());
    json_.texts_ += text;
    return {begin, static_cast<uint32_t>(text.size())};
  }

  Range read_string() {
    ++at_;
    std::string& out = json_.texts_;
    const auto begin = static_cast<uint32_t>(out.size());
    while (!take('"')) {
      const char c = peek();
      if (static_cast<unsigned char>(c) < 0x20) bad();  // the end of the text, too
      if (c == '\\') {
        ++at_;
        read_escape(out);
      } else {
        out += c;
        ++at_;
      }
    }
    return {begin, static_cast<uint32_t>(out.size()) - begin};
  }

  void read_escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const size_t found = at_ < text_.size() ? kNames.find(text_[at_]) : std::string_view::npos;
    if (found != std::string_view::npos) {
      out += kMeanings[found];
      ++at_;
      return;
    }
    if (!take('u')) bad();
    char32_t unit = read_hex();
    if (is_high_surrogate(unit) && text_.substr(at_, 2) == "\\u") {
      const size_t before = at_;
      at_ += 2;
      const char32_t low = read_hex();
      if (is_low_surrogate(low)) {
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
      } else {
        at_ = before;  // an escape of its own
      }
    }
    const bool unpaired = is_high_surrogate(unit) || is_low_surrogate(unit);
    append_utf8(out, unpaired ? U'\uFFFD' : unit);
  }

  char32_t read_hex() {
    const std::string_view digits = text_.substr(at_, 4);
    uint32_t unit = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
    if (digits.size() != 4 || error != std::errc() || end != digits.data() + 4) bad();
    at_ += 4;
    return unit;
  }

  // As assigning into a dict does: a key that comes again replaces the value and stays at its first place.
  void keep_last_of_each_key(uint32_t object) {
    std::vector<Node>& nodes = json_.nodes_;
    std::vector<uint32_t> members;
    for (uint32_t i = nodes[object].first_child; i != 0; i = nodes[i].next) members.push_back(i);
    if (members.size() < 2) return;
    const auto key_of = [&](uint32_t i) { return json_.text_of(nodes[i].key); };
    std::vector<uint32_t> sorted = members;
    std::stable_sort(sorted.begin(), sorted.end(), [&](uint32_t a, uint32_t b) { return key_of(a) < key_of(b); });
    std::vector<uint32_t> repeated;
    for (size_t first = 0, i = 1; i < sorted.size(); ++i) {
      if (key_of(sorted[i]) != key_of(sorted[first])) {
        first = i;
        continue;
      }
      Node& kept = nodes[sorted[first]];
      const Node& later = nodes[sorted[i]];
      kept.kind = later.kind;
      kept.first_child = later.first_child;
      kept.text = later.text;
      repeated.push_back(sorted[i]);
    }
    if (repeated.empty()) return;
    std::sort(repeated.begin(), repeated.end());
    uint32_t last = members.front();  // a first member repeats none
    for (const uint32_t i : members) {
      if (i == last || std::binary_search(repeated.begin(), repeated.end(), i)) continue;
      nodes[last].next = i;
      last = i;
    }
    nodes[last].next = 0;
  }

  std::string_view text_;
  std::string_view source_;
  size_t at_ = 0;
  PythonJson json_;
  std::vector<Open> open_;
};

PythonJson PythonJson::parse(std::string_view text, std::string_view source) {
  return PythonJsonParser(text, source).run();
}

bool is_python_json(std::string_view text) {
  try {
    PythonJson::parse(text, "text");
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace nibble
