// From Oniguruma's Ruby dialect with Unicode 16, which tokenizer files are written for, to PCRE2's. Three differences
// matter: the set of \s (PCRE2 adds U+180E), the general categories (Debian 12's PCRE2 10.42 knows Unicode 14), and
// classes inside classes.
#include <string>
#include <string_view>

#include "host/text/regex.h"
#include "runtime/base/error.h"

namespace nibble {
namespace {

// White_Space, as the inside of a class.
constexpr std::string_view kSpaces =
    R"(\t-\r\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

// What Unicode 15.0 to 16.0 added to each general category, as the inside of a class.
struct Additions {
  char category;
  std::string_view ranges;
};
constexpr Additions kAdditions[] = {
    {'L', R"(\x{1c89}-\x{1c8a}\x{a7cb}-\x{a7cd}\x{a7da}-\x{a7dc}\x{105c0}-\x{105f3}\x{10d4a}-\x{10d65})"
          R"(\x{10d6f}-\x{10d85}\x{10ec2}-\x{10ec4}\x{1123f}-\x{11240}\x{11380}-\x{11389}\x{1138b}\x{1138e})"
          R"(\x{11390}-\x{113b5}\x{113b7}\x{113d1}\x{113d3}\x{11bc0}-\x{11be0}\x{11f02}\x{11f04}-\x{11f10})"
          R"(\x{11f12}-\x{11f33}\x{1342f}\x{13441}-\x{13446}\x{13460}-\x{143fa}\x{16100}-\x{1611d})"
          R"(\x{16d40}-\x{16d6c}\x{18cff}\x{1b132}\x{1b155}\x{1df25}-\x{1df2a}\x{1e030}-\x{1e06d})"
          R"(\x{1e4d0}-\x{1e4eb}\x{1e5d0}-\x{1e5ed}\x{1e5f0}\x{2b739}\x{2ebf0}-\x{2ee5d}\x{31350}-\x{323af})"},
    {'M', R"(\x{897}\x{cf3}\x{ece}\x{10d69}-\x{10d6d}\x{10efc}-\x{10eff}\x{11241}\x{113b8}-\x{113c0}\x{113c2})"
          R"(\x{113c5}\x{113c7}-\x{113ca}\x{113cc}-\x{113d0}\x{113d2}\x{113e1}-\x{113e2}\x{11f00}-\x{11f01})"
          R"(\x{11f03}\x{11f34}-\x{11f3a}\x{11f3e}-\x{11f42}\x{11f5a}\x{13440}\x{13447}-\x{13455})"
          R"(\x{1611e}-\x{1612f}\x{1e08f}\x{1e4ec}-\x{1e4ef}\x{1e5ee}-\x{1e5ef})"},
    {'N', R"(\x{10d40}-\x{10d49}\x{116d0}-\x{116e3}\x{11bf0}-\x{11bf9}\x{11f50}-\x{11f59}\x{16130}-\x{16139})"
          R"(\x{16d70}-\x{16d79}\x{1ccf0}-\x{1ccf9}\x{1d2c0}-\x{1d2d3}\x{1e4f0}-\x{1e4f9}\x{1e5f1}-\x{1e5fa})"},
    {'P', R"(\x{1b4e}-\x{1b4f}\x{1b7f}\x{10d6e}\x{113d4}-\x{113d5}\x{113d7}-\x{113d8}\x{11b00}-\x{11b09})"
          R"(\x{11be1}\x{11f43}-\x{11f4f}\x{16d6d}-\x{16d6f}\x{1e5ff})"},
    {'S', R"(\x{2427}-\x{2429}\x{2ffc}-\x{2fff}\x{31e4}-\x{31e5}\x{31ef}\x{10d8e}-\x{10d8f})"
          R"(\x{1cc00}-\x{1ccef}\x{1cd00}-\x{1ceb3}\x{1f6dc}\x{1f774}-\x{1f776}\x{1f77b}-\x{1f77f}\x{1f7d9})"
          R"(\x{1f8b2}-\x{1f8bb}\x{1f8c0}-\x{1f8c1}\x{1fa75}-\x{1fa77}\x{1fa87}-\x{1fa89}\x{1fa8f})"
          R"(\x{1faad}-\x{1faaf}\x{1fabb}-\x{1fabf}\x{1fac6}\x{1face}-\x{1facf}\x{1fada}-\x{1fadc}\x{1fadf})"
          R"(\x{1fae8}-\x{1fae9}\x{1faf7}-\x{1faf8}\x{1fbcb}-\x{1fbef})"},
};

[[noreturn]] void reject(std::string_view pattern, std::string_view what) {
  fail(ErrorCode::kUnsupported, "regex '{}': {} is not supported", pattern, what);
}

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape();
      } else if (in_class_) {
        class_character(c);
      } else {
        in_class_ = c == '[';
        copy(1);
        if (in_class_ && looking_at("^")) copy(1);
        if (in_class_ && looking_at("]")) reject(pattern_, "an unescaped ']' that begins a class");
      }
    }
    return std::move(out_);
  }

 private:
  bool looking_at(std::string_view text) const { return pattern_.substr(at_, text.size()) == text; }

  void copy(size_t count) {
    out_ += pattern_.substr(at_, count);
    at_ += count;
  }

  void class_character(char c) {
    if (looking_at("&&")) reject(pattern_, "a class intersection (&&)");
    if (looking_at("[:")) {
      const size_t end = pattern_.find(":]", at_ + 2);
      if (end == std::string_view::npos) reject(pattern_, "a class inside a class");
      copy(end + 2 - at_);
      return;
    }
    if (c == '[') reject(pattern_, "a class inside a class");
    if (c == ']') in_class_ = false;
    copy(1);
  }

  void escape() {
    if (at_ + 1 == pattern_.size()) reject(pattern_, "a backslash at the end");
    const char c = pattern_[at_ + 1];
    switch (c) {
      case 's':
        set(kSpaces, false);
        at_ += 2;
        return;
      case 'S':
        // Inside a class PCRE2's own \S differs in U+180E alone.
        if (in_class_) {
          copy(2);
        } else {
          set(kSpaces, true);
          at_ += 2;
        }
        return;
      case 'p':
      case 'P':
        property(c == 'P');
        return;
      case 'h':
      case 'H':
      case 'w':
      case 'W':
      case 'b':
      case 'B':
      case 'K':
        reject(pattern_, fmt::format("\\{}", c));
      default:
        copy(2);
    }
  }

  void set(std::string_view inside, bool negated) {
    if (!in_class_) out_ += negated ? "[^" : "[";
    out_ += inside;
    if (!in_class_) out_ += ']';
  }

  // \p{L}, \pL, \P{L} and \p{^L}, for the categories that grew; other properties are PCRE2's.
  void property(bool negated) {
    size_t name_at = at_ + 2;
    const bool braced = pattern_.substr(name_at, 1) == "{";
    if (braced) ++name_at;
    if (braced && pattern_.substr(name_at, 1) == "^") {
      negated = !negated;
      ++name_at;
    }
    const size_t end = braced ? pattern_.find('}', name_at) : name_at + 1;
    if (end > pattern_.size()) reject(pattern_, "a property without a name");
    const std::string_view name = pattern_.substr(name_at, end - name_at);
    at_ = braced ? end + 1 : end;
    for (const Additions& additions : kAdditions) {
      if (name.size() != 1 || name[0] != additions.category) continue;
      if (in_class_ && negated) break;
      set(fmt::format("\\p{{{}}}{}", name, additions.ranges), negated);
      return;
    }
    out_ += fmt::format("\\{}{{{}}}", negated ? 'P' : 'p', name);
  }

  std::string_view pattern_;
  size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

}  // namespace

std::string translate_pattern(std::string_view pattern) { return Translator(pattern).run(); }

}  // namespace nibble
