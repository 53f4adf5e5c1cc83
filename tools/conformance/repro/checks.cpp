using Bytes = std::vector<unsigned char>;

// ---- the case -----------------------------------------------------------------------------------------------------

enum class Check {
  kUnchanged,  // every byte must be what it was
  kValues,     // f32 within `allowed` of `expected`, both f64; where that is NaN the word must be what it was
  kWords,      // the very words of `expected`
  kNothing,    // only that the bytes around the view stay
};
