/** CPU time of threads, as Linux tells it: what tells a thread that loops from one that was not scheduled. */
import { readFileSync, readlinkSync } from "node:fs";
import os from "node:os";

/** The calling thread's id at the operating system; 0 where there is no /proc. */
export function ownThreadId(): number {
  try {
    return Number(/\/task\/(\d+)$/.exec(readlinkSync("/proc/thread-self"))?.[1] ?? 0);
  } catch {
    return 0; // not Linux: limits then go by wall time alone
  }
}

/** CPU time that thread of this process has used, in milliseconds; undefined where the system does not tell. */
export function threadCpuMs(id: number): number | undefined {
  if (id === 0) return undefined;
  try {
    return Number(readFileSync(`/proc/self/task/${id}/schedstat`, "ascii").split(" ")[0]) / 1e6;
  } catch {
    return undefined; // the thread has just ended, or the kernel keeps no schedstat
  }
}

/** Gives a thread the lowest priority: Linux takes a thread's id where POSIX says process. Does nothing elsewhere. */
export function lowerPriority(id: number): void {
  try {
    os.setPriority(id, os.constants.priority.PRIORITY_LOW);
  } catch {
    return; // the thread has just ended
  }
}
