// The end of the program, whoever brings it about. Drivers crash and call exit() in the middle of the work, and in
// their destructors after it: the first is said, with what the driver was doing; the second changes no exit code.
#pragma once

namespace nibble {

// Handles crashes and exits from here on. Call once, early in main.
void watch_program_end();

// All results are written: whatever happens from here on, to the end of the process, the work deserved this exit code.
// Commands say 0 as their last statement, before devices are closed; main says what it returns.
void work_is_done(int exit_code);

// For a child that tries drivers: how they end it is what its parent wants to see.
void leave_program_end_alone();

}  // namespace nibble
