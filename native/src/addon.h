// What the addon's files share. Each topic is one file with a Register function; addon.cc calls them.
#pragma once

#include <napi.h>

#include <cstdint>

namespace airlock {

/// Throws a JavaScript Error for `error_number` with message "<call>: <text>", `code` "EACCES" and `errno`.
void ThrowErrno(Napi::Env env, const char* call, int error_number);

/// The file descriptor in argument `index`; throws a TypeError and returns -1 when it is none.
int FdArgument(const Napi::CallbackInfo& info, size_t index);

/// Whether a value is an integer from 0 to 2^53 - 1, and which.
bool IsInteger(const Napi::Value& value, uint64_t* integer);

/// The integer in argument `index`; throws a TypeError that has its name and returns false when it is none.
bool IntegerArgument(const Napi::CallbackInfo& info, size_t index, const char* name, uint64_t* integer);

/// Sets the speed and stop bits of a terminal; false with errno set when that fails.
bool SetLineSpeed(int fd, unsigned int baud_rate, bool two_stop_bits);

void RegisterFile(Napi::Env env, Napi::Object exports);
void RegisterPoll(Napi::Env env, Napi::Object exports);
void RegisterPty(Napi::Env env, Napi::Object exports);
void RegisterLineSettings(Napi::Env env, Napi::Object exports);
void RegisterProcess(Napi::Env env, Napi::Object exports);
void RegisterProcessor(Napi::Env env, Napi::Object exports);
void RegisterSharedMemory(Napi::Env env, Napi::Object exports);
void RegisterPages(Napi::Env env, Napi::Object exports);
void RegisterTap(Napi::Env env, Napi::Object exports);
void RegisterTapReader(Napi::Env env, Napi::Object exports);

}  // namespace airlock
