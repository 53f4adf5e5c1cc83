// ---- comparison ---------------------------------------------------------------------------------------------------

template <typename T>
T element(const Bytes& bytes, uint64_t begin, size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + begin + index * sizeof(T), sizeof(T));
  return value;
}

std::string at(const Part& part, size_t index) { return std::string(part.name) + "[" + std::to_string(index) + "]"; }

std::string hex(uint32_t word) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", static_cast<unsigned>(word));
  return text;
}

std::string decimal(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

bool has_bits(double value, uint64_t wanted) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits == wanted;
}
// The marks of elements that must stay as they were and that may hold anything: NaNs that no arithmetic gives.
bool is_untouched(double value) { return has_bits(value, 0x7ff86b6570746b65u); }
bool is_anything(double value) { return has_bits(value, 0x7ff8616e79746867u); }

// The first wrong element of a part; empty if there is none.
std::string wrong_element(const Part& part, const Bytes& before, const Bytes& found) {
  if (part.check == Check::kWords) {
    const std::vector<uint32_t> expected = load_as<uint32_t>(part.expected);
    for (size_t i = 0; i < expected.size(); ++i) {
      const uint32_t word = element<uint32_t>(found, part.offset, i);
      if (word != expected[i]) return at(part, i) + ": found " + hex(word) + ", expected " + hex(expected[i]);
    }
  }
  if (part.check == Check::kValues) {
    const std::vector<double> expected = load_as<double>(part.expected);
    const std::vector<double> allowed = load_as<double>(part.allowed);
    for (size_t i = 0; i < expected.size(); ++i) {
      const uint32_t word = element<uint32_t>(found, part.offset, i);
      const uint32_t kept = element<uint32_t>(before, part.offset, i);
      const double value = element<float>(found, part.offset, i);
      if (is_untouched(expected[i])) {
        if (word != kept) return at(part, i) + ": found " + hex(word) + ", must stay " + hex(kept);
      } else if (is_anything(expected[i])) {
        continue;
      } else if (std::isnan(expected[i])) {
        const bool is_written = allowed[i] == 0 || word != kept;
        if (!std::isnan(value) || !is_written) return at(part, i) + ": found " + hex(word) + ", expected NaN";
      } else if (!std::isfinite(static_cast<float>(expected[i]))) {
        if (value != static_cast<float>(expected[i])) {
          return at(part, i) + ": found " + decimal(value) + ", expected " + decimal(expected[i]);
        }
      } else if (!(value == expected[i] || std::fabs(value - expected[i]) <= allowed[i])) {
        return at(part, i) + ": found " + decimal(value) + " (" + hex(word) + "), expected " + decimal(expected[i]) +
               " +- " + decimal(allowed[i]);
      }
    }
  }
  return "";
}

// A byte that the kernel must not touch: around the view, or in what it only reads.
std::string touched_byte(const Part& part, const Bytes& before, const Bytes& found) {
  for (uint64_t i = 0; i < found.size(); ++i) {
    const bool is_inside = i >= part.offset && i < part.offset + part.bytes;
    if (found[i] == before[i] || (is_inside && part.check != Check::kUnchanged)) continue;
    if (is_inside) return std::string(part.name) + ": byte " + std::to_string(i - part.offset) + " was changed";
    const bool is_low = i < part.offset;
    const uint64_t distance = is_low ? part.offset - i : i - part.offset - part.bytes;
    return std::string(part.name) + ": byte " + std::to_string(distance) + (is_low ? " before" : " after") +
           " the view was changed";
  }
  return "";
}

std::string differing_word(const Part& part, const Bytes& one, const Bytes& other) {
  for (size_t i = 0; i < part.bytes / 4; ++i) {
    const uint32_t a = element<uint32_t>(one, part.offset, i);
    const uint32_t b = element<uint32_t>(other, part.offset, i);
    if (a != b) return at(part, i) + ": found " + hex(b) + ", expected " + hex(a) + " as in the run before";
  }
  return "";
}

void require_right(const std::vector<Bytes>& before, const std::vector<Bytes>& found, const std::vector<Bytes>& first) {
  for (size_t i = 0; i < found.size(); ++i) {
    for (const std::string& wrong :
         {wrong_element(kParts[i], before[i], found[i]), touched_byte(kParts[i], before[i], found[i]),
          differing_word(kParts[i], first[i], found[i])}) {
      if (!wrong.empty()) fail(wrong);
    }
  }
}
