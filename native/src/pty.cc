// openPty: a pseudo-terminal pair for a serial line's export. The slave is returned open, because a master whose last slave
// closes hangs up; the owner keeps it for as long as the terminal shall exist.
#include <fcntl.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>

#include "addon.h"
#include "descriptor.h"

namespace airlock {
namespace {

/// Bytes as they are, no echo, no signals; the modem lines are ignored.
bool MakeRaw(int fd) {
  struct termios settings = {};
  if (tcgetattr(fd, &settings) != 0) return false;
  cfmakeraw(&settings);
  settings.c_cflag |= CLOCAL | CREAD;
  return tcsetattr(fd, TCSANOW, &settings) == 0;
}

/// openPty(baudRate, stopBits): { masterFd, slaveFd, slavePath }; both close-on-exec, the master non-blocking, the slave raw.
Napi::Value OpenPty(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsNumber() || !info[1].IsNumber()) {
    Napi::TypeError::New(env, "arguments are a speed in bits per second and 1 or 2 stop bits").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const uint32_t baud_rate = info[0].As<Napi::Number>().Uint32Value();
  const bool two_stop_bits = info[1].As<Napi::Number>().Uint32Value() == 2;
  const auto fail = [env](const char* call) {
    ThrowErrno(env, call, errno);
    return env.Undefined();
  };
  Descriptor master(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK));
  if (master.get() < 0) return fail("posix_openpt");
  if (grantpt(master.get()) != 0) return fail("grantpt");
  if (unlockpt(master.get()) != 0) return fail("unlockpt");
  char path[64];
  const int named = ptsname_r(master.get(), path, sizeof(path));
  if (named != 0) {
    ThrowErrno(env, "ptsname_r", named);
    return env.Undefined();
  }
  Descriptor slave(::open(path, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (slave.get() < 0) return fail("open");
  if (!MakeRaw(slave.get())) return fail("tcsetattr");
  if (!SetLineSpeed(slave.get(), baud_rate, two_stop_bits)) return fail("ioctl(TCSETS2)");
  Napi::Object result = Napi::Object::New(env);
  result.Set("masterFd", Napi::Number::New(env, master.release()));
  result.Set("slaveFd", Napi::Number::New(env, slave.release()));
  result.Set("slavePath", Napi::String::New(env, path));
  return result;
}

}  // namespace

void RegisterPty(Napi::Env env, Napi::Object exports) {
  exports.Set("openPty", Napi::Function::New<OpenPty>(env, "openPty"));
}

}  // namespace airlock
