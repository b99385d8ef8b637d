/** A Python program that has itself watched: it starts the watchdog over the export's socket and pings until it is told to hang. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { Inbox, receiveMs } from "./client.ts";

/** Pings from a thread of its own; "hang" on its input ends that, "stop" stops the watchdog first. Answers and events go to its output. */
const script = `
import socket, sys, threading
wire = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
wire.connect(sys.argv[1])
counts = [0]
def say(text):
    wire.sendall((text + "\\n").encode())
def hear():
    for line in wire.makefile():
        if line != "ok\\n": print(line, end="", flush=True)
        else: counts[0] += 1
hearing = threading.Thread(target=hear)
hearing.start()
say("start " + sys.argv[2])
hung = threading.Event()
def work():
    while not hung.wait(float(sys.argv[3])): say("ping")
worker = threading.Thread(target=work)
worker.start()
for line in sys.stdin:
    if line == "count\\n": print("pinged", counts[0], flush=True)
    elif line == "hang\\n": hung.set(); worker.join(); print("hangs", flush=True)
    elif line == "stop\\n": hung.set(); worker.join(); say("stop"); break
wire.shutdown(socket.SHUT_WR)
hearing.join()
`;

export class PythonWatched implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly output = new Inbox();

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = once(child, "exit");
    child.stdout!.on("data", this.output.put);
    child.stderr!.on("data", this.output.put);
  }

  /** Started, with this timeout, and pinging. */
  static async start(address: string, timeoutSeconds: number, everySeconds: number): Promise<PythonWatched> {
    const watched = new PythonWatched(spawn("python3", ["-c", script, address, String(timeoutSeconds), String(everySeconds)], { stdio: ["pipe", "pipe", "pipe"] }));
    await watched.line();
    return watched;
  }

  /** The next line it writes. */
  async line(): Promise<string> {
    return (await this.output.take("\n", receiveMs)).toString().trimEnd();
  }

  /** Pings that were answered. */
  async count(): Promise<number> {
    this.#child.stdin!.write("count\n");
    return Number((await this.line()).replace("pinged ", ""));
  }

  /** It lives on and pings no more. */
  async hang(): Promise<void> {
    this.#child.stdin!.write("hang\n");
    await this.output.take("hangs\n", receiveMs);
  }

  /** Stops the watchdog and leaves. */
  async stop(): Promise<void> {
    this.#child.stdin!.write("stop\n");
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGKILL");
    await this.#ended;
  }
}
