// What the addon's files share. Each topic is one file with a Register function; addon.cc calls them.
#pragma once

#include <napi.h>

namespace airlock {

/// Throws a JavaScript Error for `error_number` with message "<call>: <text>", `code` "EACCES" and `errno`.
void ThrowErrno(Napi::Env env, const char* call, int error_number);

/// The file descriptor in argument `index`; throws a TypeError and returns -1 when it is none.
int FdArgument(const Napi::CallbackInfo& info, size_t index);

/// Sets the speed and stop bits of a terminal; false with errno set when that fails.
bool SetLineSpeed(int fd, unsigned int baud_rate, bool two_stop_bits);

void RegisterFile(Napi::Env env, Napi::Object exports);
void RegisterPoll(Napi::Env env, Napi::Object exports);
void RegisterPty(Napi::Env env, Napi::Object exports);
void RegisterLineSettings(Napi::Env env, Napi::Object exports);
void RegisterProcess(Napi::Env env, Napi::Object exports);

}  // namespace airlock
