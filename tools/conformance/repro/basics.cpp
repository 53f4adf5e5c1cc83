// The end of the program: a driver that may hang or crash gets no destructors.
[[noreturn]] void end(const std::string& line, int code) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
  std::_Exit(code);
}

[[noreturn]] void pass() { end("PASS", 0); }
[[noreturn]] void fail(const std::string& what) { end("FAIL: " + what, 1); }
[[noreturn]] void give_up(const std::string& why) { end("cannot run: " + why, 2); }

// Turns a crash and a hang into a FAIL.
void watch() {
  const auto crashed = [](int signal) { fail("the driver crashed with signal " + std::to_string(signal)); };
  for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGILL}) std::signal(signal, crashed);
  std::thread([] {
    std::this_thread::sleep_for(std::chrono::seconds(kLimitSeconds));
    fail("no result after " + std::to_string(kLimitSeconds) + " s");
  }).detach();
}

Bytes load(const char* name) {
  std::ifstream stream(name, std::ios::binary);
  if (!stream) give_up(std::string(name) + ": no such file here; run the program in the folder of its files");
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

template <typename T>
std::vector<T> load_as(const char* name) {
  const Bytes bytes = load(name);
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

// The first device that `wanted`, an index or a part of a name, fits; without it the one that failed, or else the
// first.
size_t choose_device(const std::vector<std::string>& names, const char* wanted) {
  size_t chosen = names.size();
  for (size_t i = 0; i < names.size(); ++i) {
    std::printf("device %zu: %s\n", i, names[i].c_str());
    const bool fits = wanted == nullptr ? names[i] == kFailedOn
                                        : std::to_string(i) == wanted || names[i].find(wanted) != std::string::npos;
    if (fits && chosen == names.size()) chosen = i;
  }
  if (chosen == names.size() && wanted == nullptr && !names.empty()) chosen = 0;
  if (chosen == names.size()) give_up(std::string("no device '") + (wanted == nullptr ? "0" : wanted) + "'");
  std::printf("running on device %zu\n", chosen);
  return chosen;
}
