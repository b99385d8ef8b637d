/** Python's termios and os.open as a client, as most scripts for instruments use a terminal; with pipes to the test. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";
import { type ClientKind, Inbox, programMissing, receiveMs } from "./client.ts";

/** Sets raw mode and speed the way tty.setraw and pyserial do, then copies between the terminal and the pipes. */
const script = `
import os, select, sys, termios
def configure(fd, baud):
    iflag, oflag, cflag, lflag, ispeed, ospeed, cc = termios.tcgetattr(fd)
    iflag &= ~(termios.IGNBRK | termios.BRKINT | termios.ICRNL | termios.INLCR | termios.IGNCR)
    iflag &= ~(termios.INPCK | termios.ISTRIP | termios.IXON | termios.IXOFF)
    oflag &= ~(termios.OPOST | termios.ONLCR)
    lflag &= ~(termios.ICANON | termios.ECHO | termios.ECHONL | termios.ISIG | termios.IEXTEN)
    cflag = (cflag & ~(termios.CSTOPB | termios.CRTSCTS)) | termios.CLOCAL | termios.CREAD
    if len(sys.argv) > 3 and sys.argv[3] == "2": cflag |= termios.CSTOPB
    speed = getattr(termios, "B%d" % baud)
    cc[termios.VMIN], cc[termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSANOW, [iflag, oflag, cflag, lflag, speed, speed, cc])
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
configure(fd, int(sys.argv[2]))
sys.stderr.write("ready\\n")
sys.stderr.flush()
while len(sys.argv) < 5:
    readable, _, _ = select.select([fd, 0], [], [])
    if fd in readable:
        out = os.read(fd, 4096)
        if not out: raise EOFError("the terminal ended")
        while out: out = out[os.write(1, out):]
    if 0 in readable:
        data = os.read(0, 4096)
        if not data: break
        while data: data = data[os.write(fd, data):]
os.close(fd)
`;

export const termios: ClientKind = {
  name: "python termios",
  reserved: [],
  missing: () => programMissing("python3", "python3"),
  async open(tty, baudRate) {
    const inbox = new Inbox();
    const messages = new Inbox();
    const child = spawn("python3", ["-c", script, tty, String(baudRate)], { stdio: ["pipe", "pipe", "pipe"] });
    const ended = once(child, "exit");
    child.stdout.on("data", inbox.put);
    child.stderr.on("data", messages.put);
    const close = (): Promise<void> => stop(child, ended);
    try {
      await messages.take("ready\n", receiveMs);
    } catch (error) {
      await close();
      throw error;
    }
    return {
      send: (bytes) => new Promise((resolve, reject) => {
        child.stdin.write(bytes, (error) => (error ? reject(error) : resolve()));
      }),
      receive: (length, timeoutMs = receiveMs) => inbox.take(length, timeoutMs),
      peek: () => inbox.peek(),
      left: () => (child.exitCode === null && child.signalCode === null ? undefined : `python ended: ${messages.peek().toString()}`),
      [Symbol.asyncDispose]: close,
    };
  },
};

/** Opens the terminal, sets speed and stop bits, and closes it again: what \`stty\` does. */
export async function setLine(tty: string, baudRate: number, stopBits: 1 | 2): Promise<void> {
  await promisify(execFile)("python3", ["-c", script, tty, String(baudRate), String(stopBits), "then end"], { timeout: receiveMs });
}

async function stop(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  child.stdin?.end();
  const timer = setTimeout(() => child.kill("SIGKILL"), 2_000);
  if (child.exitCode === null && child.signalCode === null) await ended;
  clearTimeout(timer);
}
