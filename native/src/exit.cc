// exitNow: ends the process without waiting for its threads. Node's own exit joins every worker thread, and one that is
// inside a long V8 builtin cannot be interrupted.
#include <unistd.h>

#include "addon.h"

namespace airlock {
namespace {

// exitNow(code: number): never. What was written to stdout and stderr is with the system already: Node writes both synchronously
// to files, pipes and terminals.
Napi::Value ExitNow(const Napi::CallbackInfo& info) {
  _exit(info.Length() > 0 && info[0].IsNumber() ? info[0].As<Napi::Number>().Int32Value() : 1);
}

}  // namespace

void RegisterExit(Napi::Env env, Napi::Object exports) {
  exports.Set("exitNow", Napi::Function::New<ExitNow>(env, "exitNow"));
}

}  // namespace airlock
