// JSON as Python's json module has it: json.loads(text), then json.dumps(value, ensure_ascii=False). The chat format is
// defined by that program's bytes, and what passes through a prompt (schemas, arguments a model wrote) must not change
// on its way: whole numbers keep all of their digits, floats are written as repr() has them, NaN and Infinity are
// numbers, of a key that comes twice the last value counts at the first one's place, and no depth is too deep.
// A parser of its own, since the library's knows neither NaN nor unpaired surrogates and its values nest by recursion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nibble {

enum class JsonKind : uint8_t { kNull, kBoolean, kInteger, kFloat, kString, kArray, kObject };

// A parsed text. Immutable; a Value points into it and lives as long. Takes at most 17 bytes for each byte of the text.
class PythonJson {
 public:
  class Value;

  // `text` is UTF-8. A surrogate without its partner, which no UTF-8 can hold, becomes U+FFFD. Throws
  // Error(kInvalidFile) that names `source` and the byte.
  static PythonJson parse(std::string_view text, std::string_view source);
  Value root() const;

 private:
  friend class PythonJsonParser;
  struct Range {
    uint32_t begin = 0, size = 0;
  };
  struct Node {
    JsonKind kind = JsonKind::kNull;
    bool has_key = false;
    uint32_t next = 0;         // the sibling after it; 0: none, since the root is nobody's sibling
    uint32_t first_child = 0;  // of an array or object; 0: none
    Range key;                 // in texts_
    Range text;                // in texts_: of a scalar, as written; of a string, what it says
  };

  std::string_view text_of(Range range) const { return std::string_view(texts_).substr(range.begin, range.size); }

  std::vector<Node> nodes_;
  std::string texts_;
};

// One value, or the null that stands for one that is not there.
class PythonJson::Value {
 public:
  Value() = default;
  Value(const PythonJson& json, uint32_t index) : json_(&json), index_(index) {}

  JsonKind kind() const { return json_ ? node().kind : JsonKind::kNull; }
  bool is_null() const { return kind() == JsonKind::kNull; }
  bool is_string() const { return kind() == JsonKind::kString; }
  bool is_array() const { return kind() == JsonKind::kArray; }
  bool is_object() const { return kind() == JsonKind::kObject; }
  // "null", "boolean", "number", "string", "array" or "object", for errors.
  std::string_view type_name() const;
  // What Python takes for false: null, false, zero, and what is empty.
  bool is_falsy() const;
  // What a string says; of numbers and words, what Python writes.
  std::string_view text() const { return json_ ? json_->text_of(node().text) : "null"; }
  // Of an object's member.
  std::string_view key() const { return json_->text_of(node().key); }
  // The member of an object; null where it is missing.
  Value find(std::string_view key) const;
  // As json.dumps writes it.
  std::string dump() const;

  // for (PythonJson::Value child : value): elements or members in order; none of what is neither array nor object.
  class Iterator {
   public:
    Iterator(const PythonJson* json, uint32_t index) : json_(json), index_(index) {}
    Value operator*() const { return {*json_, index_}; }
    Iterator& operator++() {
      index_ = json_->nodes_[index_].next;
      return *this;
    }
    bool operator!=(const Iterator& other) const { return index_ != other.index_; }

   private:
    const PythonJson* json_;
    uint32_t index_;
  };
  Iterator begin() const { return {json_, json_ ? node().first_child : 0}; }
  Iterator end() const { return {json_, 0}; }

 private:
  const Node& node() const { return json_->nodes_[index_]; }

  const PythonJson* json_ = nullptr;
  uint32_t index_ = 0;
};

inline PythonJson::Value PythonJson::root() const { return {*this, 0}; }

// Whether json.loads takes `text`.
bool is_python_json(std::string_view text);

// A string as json.dumps writes it, quotes included.
std::string python_string(std::string_view text);

// A float as repr() writes it: the shortest digits that read back, with an exponent below 1e-4 and from 1e16.
std::string python_float(double value);

}  // namespace nibble
