#include "host/text/python_json.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string_view>

#include <fmt/format.h>

namespace nibble {
namespace {

void append_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

}  // namespace

std::string python_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  char buffer[32];
  const auto written = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<size_t>(written.ptr - buffer));
  const size_t exponent_at = text.find('e');
  const int exponent = std::atoi(std::string(text.substr(exponent_at + 1)).c_str());
  // Python's exponents have two digits at least, as to_chars writes them.
  if (exponent < -4 || exponent >= 16) return std::string(text);
  const std::string sign = text[0] == '-' ? "-" : "";
  std::string digits;
  for (const char c : text.substr(0, exponent_at)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  if (exponent < 0) return sign + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0') + ".0";
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

std::string python_string(std::string_view text) {
  std::string out;
  append_string(out, text);
  return out;
}

std::string_view PythonJson::Value::type_name() const {
  switch (kind()) {
    case JsonKind::kNull:
      return "null";
    case JsonKind::kBoolean:
      return "boolean";
    case JsonKind::kInteger:
    case JsonKind::kFloat:
      return "number";
    case JsonKind::kString:
      return "string";
    case JsonKind::kArray:
      return "array";
    case JsonKind::kObject:
      return "object";
  }
  return "unknown";
}

bool PythonJson::Value::is_falsy() const {
  switch (kind()) {
    case JsonKind::kNull:
      return true;
    case JsonKind::kBoolean:
      return text() == "false";
    case JsonKind::kInteger:
      return text() == "0";
    case JsonKind::kFloat:
      return text() == "0.0" || text() == "-0.0";
    case JsonKind::kString:
      return text().empty();
    case JsonKind::kArray:
    case JsonKind::kObject:
      return node().first_child == 0;
  }
  return false;
}

PythonJson::Value PythonJson::Value::find(std::string_view key) const {
  if (is_object()) {
    for (const Value member : *this) {
      if (member.key() == key) return member;
    }
  }
  return {};
}

// With a stack of its own: a model may nest deeper than a thread's stack holds.
std::string PythonJson::Value::dump() const {
  if (!json_) return "null";
  struct Open {
    uint32_t next;  // the child to be written next
    char close;
  };
  std::vector<Open> open;
  std::string out;
  const auto write = [&](const Node& node) {
    if (node.kind == JsonKind::kArray || node.kind == JsonKind::kObject) {
      const bool array = node.kind == JsonKind::kArray;
      out += array ? '[' : '{';
      open.push_back({node.first_child, array ? ']' : '}'});
    } else if (node.kind == JsonKind::kString) {
      append_string(out, json_->text_of(node.text));
    } else {
      out += json_->text_of(node.text);
    }
  };
  write(node());
  while (!open.empty()) {
    const uint32_t index = open.back().next;
    if (index == 0) {
      out += open.back().close;
      open.pop_back();
      continue;
    }
    const Node& child = json_->nodes_[index];
    if (out.back() != '[' && out.back() != '{') out += ", ";
    if (child.has_key) {
      append_string(out, json_->text_of(child.key));
      out += ": ";
    }
    open.back().next = child.next;
    write(child);
  }
  return out;
}

}  // namespace nibble
