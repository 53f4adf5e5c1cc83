#include "runtime/base/log.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <set>
#include <string>

namespace nibble {
namespace {

// A terminal that is busy or a pipe that is full for a moment; one that stays full loses the message.
bool can_be_written_soon(int descriptor) {
  constexpr int kMilliseconds = 200;
  pollfd waiting{.fd = descriptor, .events = POLLOUT, .revents = 0};
  return ::poll(&waiting, 1, kMilliseconds) == 1 && (waiting.revents & POLLOUT) != 0;
}

}  // namespace

// Not fmt::print or stdio: the one throws where a write fails, the other keeps the text and tries it again at exit.
void say_text(std::string_view text) noexcept {
  const int saved = errno;
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR && !(errno == EAGAIN && can_be_written_soon(STDERR_FILENO))) {
      break;
    }
  }
  errno = saved;
}

void warn_once(std::string_view message) {
  static std::mutex mutex;
  static std::set<std::string, std::less<>> seen;
  const std::lock_guard lock(mutex);
  if (seen.emplace(message).second) say("nibble: warning: {}\n", message);
}

}  // namespace nibble
