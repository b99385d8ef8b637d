// How the addon reports failed system calls.
#include <uv.h>

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

}  // namespace airlock
