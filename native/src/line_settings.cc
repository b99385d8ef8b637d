// getLineSettings: what a client set on a terminal with tcsetattr. A file of its own, because the kernel's termios2, which
// has the speed as a number, cannot be included together with libc's termios.h.
#include <asm/termbits.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "addon.h"

// asm/ioctls.h has the request numbers, but asm/termbits.h alone the struct; both come with every Linux libc.
#include <asm/ioctls.h>

namespace airlock {
namespace {

int DataBits(tcflag_t flags) {
  switch (flags & CSIZE) {
    case CS5: return 5;
    case CS6: return 6;
    case CS7: return 7;
    default: return 8;
  }
}

const char* Parity(tcflag_t flags) {
  if ((flags & PARENB) == 0) return "none";
  return (flags & PARODD) == 0 ? "even" : "odd";
}

/// getLineSettings(fd): { baudRate, dataBits, stopBits, parity }; a speed of 0 means that the client hung up.
Napi::Value GetLineSettings(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  const int fd = FdArgument(info, 0);
  if (fd < 0) return env.Undefined();
  struct termios2 settings = {};
  if (::ioctl(fd, TCGETS2, &settings) != 0) {
    ThrowErrno(env, "ioctl(TCGETS2)", errno);
    return env.Undefined();
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("baudRate", Napi::Number::New(env, settings.c_ospeed));
  result.Set("dataBits", Napi::Number::New(env, DataBits(settings.c_cflag)));
  result.Set("stopBits", Napi::Number::New(env, (settings.c_cflag & CSTOPB) == 0 ? 1 : 2));
  result.Set("parity", Napi::String::New(env, Parity(settings.c_cflag)));
  return result;
}

/// The flag of a standard speed: clients read the flag back, and many know no BOTHER. BOTHER for any other speed.
tcflag_t SpeedFlag(unsigned int baud_rate) {
  static constexpr struct {
    unsigned int baud_rate;
    tcflag_t flag;
  } kStandard[] = {{50, B50},           {75, B75},           {110, B110},         {134, B134},         {150, B150},
                   {200, B200},         {300, B300},         {600, B600},         {1200, B1200},       {1800, B1800},
                   {2400, B2400},       {4800, B4800},       {9600, B9600},       {19200, B19200},     {38400, B38400},
                   {57600, B57600},     {115200, B115200},   {230400, B230400},   {460800, B460800},   {500000, B500000},
                   {576000, B576000},   {921600, B921600},   {1000000, B1000000}, {1152000, B1152000}, {1500000, B1500000},
                   {2000000, B2000000}, {2500000, B2500000}, {3000000, B3000000}, {3500000, B3500000}, {4000000, B4000000}};
  for (const auto& speed : kStandard) {
    if (speed.baud_rate == baud_rate) return speed.flag;
  }
  return BOTHER;
}

}  // namespace

bool SetLineSpeed(int fd, unsigned int baud_rate, bool two_stop_bits) {
  struct termios2 settings = {};
  if (::ioctl(fd, TCGETS2, &settings) != 0) return false;
  settings.c_cflag &= ~static_cast<tcflag_t>(CBAUD | CSTOPB);
  settings.c_cflag |= SpeedFlag(baud_rate) | (two_stop_bits ? CSTOPB : 0);
  settings.c_ispeed = baud_rate;
  settings.c_ospeed = baud_rate;
  return ::ioctl(fd, TCSETS2, &settings) == 0;
}

void RegisterLineSettings(Napi::Env env, Napi::Object exports) {
  exports.Set("getLineSettings", Napi::Function::New<GetLineSettings>(env, "getLineSettings"));
}

}  // namespace airlock
