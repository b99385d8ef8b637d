// What opening a TAP interface, reading and writing it have in common.
#pragma once

#include <cstddef>

namespace airlock {

/// Longest frame of a TAP interface: the largest MTU Linux gives one (65,521), Ethernet's header and two VLAN tags.
constexpr size_t kMaxFrame = 65521 + 14 + 8;

/// Whether the descriptor is one of a TAP interface in non-blocking mode; else false, with what is wrong in `call` (and errno or 0 in `error`).
bool IsTap(int fd, const char** call, int* error);

}  // namespace airlock
