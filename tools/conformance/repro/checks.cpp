using Bytes = std::vector<unsigned char>;

// ---- the case -----------------------------------------------------------------------------------------------------

enum class Check {
  kUnchanged,  // every byte must be what it was
  // f32 within `allowed` of `expected`, both f64. Beyond f32 that is infinity. NaN wants a NaN, another one than was
  // there where `allowed` is not 0; two NaNs mark words that must be what they were and that may be anything.
  kValues,
  kWords,    // the very words of `expected`
  kNothing,  // only that the bytes around the view stay
};
