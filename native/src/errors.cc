// How the addon reports failed system calls, and the check of arguments that every call shares.
#include <uv.h>

#include <cmath>
#include <limits>
#include <string>

#include "addon.h"

namespace airlock {

void ThrowErrno(Napi::Env env, const char* call, int error_number) {
  const int code = uv_translate_sys_error(error_number);
  Napi::Error error = Napi::Error::New(env, std::string(call) + ": " + uv_strerror(code));
  error.Set("code", Napi::String::New(env, uv_err_name(code)));
  error.Set("errno", Napi::Number::New(env, code));
  error.Set("syscall", Napi::String::New(env, call));
  error.ThrowAsJavaScriptException();
}

int FdArgument(const Napi::CallbackInfo& info, size_t index) {
  if (info.Length() > index && info[index].IsNumber()) {
    const double value = info[index].As<Napi::Number>().DoubleValue();
    if (value >= 0 && value <= std::numeric_limits<int>::max() && value == std::floor(value)) return static_cast<int>(value);
  }
  Napi::TypeError::New(info.Env(), "a file descriptor is a non-negative integer").ThrowAsJavaScriptException();
  return -1;
}

}  // namespace airlock
