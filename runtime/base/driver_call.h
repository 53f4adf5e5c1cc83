// DriverCall: marks that this process is inside somebody else's code, a driver's, so that a crash there can say which
// driver it was and what it was doing. They nest; the innermost of a thread counts.
#pragma once

#include <string>

namespace nibble {

class DriverCall {
 public:
  // `doing`: "compiling kernel gemm_fp8_f32__portable for vulkan:0".
  explicit DriverCall(std::string doing);
  ~DriverCall();
  DriverCall(const DriverCall&) = delete;
  DriverCall& operator=(const DriverCall&) = delete;

  // What a program does whenever one begins. Drivers bring libraries that handle signals their own way (LLVM's code for
  // crashes loses what abort() says), so whoever wants to hear of a crash must say so again.
  static void set_beginning(void (*action)());

  // What this thread's innermost one does; on a thread that has none, which may be a driver's own, what that thread
  // does which entered a driver first. Null outside of all. For signal handlers: allocates and locks nothing.
  static const char* current() noexcept;

 private:
  std::string doing_;
  const char* outer_;
};

}  // namespace nibble
