/** The shadow's end of a queue: tags, batches, what a driver has, a full inbox, and the one deadline timer. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TestEnvironment } from "../../test/fixtures/driver-port.ts";
import { defineClass } from "../api/contract.ts";
import { type MessageRecord, RecordKind } from "../api/records.ts";
import { wordLayout } from "../api/words.ts";
import { QueueLink } from "./queue-link.ts";

const depth = 5;
const contract = defineClass({
  name: "test", version: 1, operations: {}, events: {},
  queues: {
    first: { request: wordLayout("tag", "a"), completion: wordLayout("tag"), deadlineMs: 100, depth: 1 },
    jobs: { request: wordLayout("tag", "a", "b"), completion: wordLayout("tag", "result"), deadlineMs: 100, depth },
    patient: { request: wordLayout("tag"), completion: wordLayout("tag"), deadlineMs: Infinity, depth },
  },
});
const { jobs } = contract.queues;

function completions(...entries: readonly (readonly number[])[]): MessageRecord {
  return { kind: RecordKind.completions, id: jobs.id, tag: 0, payload: new Uint8Array(Uint32Array.from(entries.flat()).buffer) };
}

function linked(options: { readonly depth?: number } = {}) {
  const environment = new TestEnvironment();
  const done: (readonly [string, number])[] = [];
  const batches: number[][] = [];
  const driver = { full: false };
  const link = new QueueLink<string>(jobs, environment, {
    completed: (request, words, at) => {
      const result = words[at + jobs.completion.at.result]!;
      done.push([request, result]);
      return result === 99 ? "99 is no result" : undefined;
    },
  });
  const open = (): void => link.open({
    send: (kind, id, tag, payload) => {
      if (driver.full) return false;
      expect([kind, id, tag]).toEqual([RecordKind.requests, jobs.id, 0]);
      batches.push([...new Uint32Array(payload.slice().buffer)]);
      return true;
    },
  }, options.depth ?? depth);
  open();
  const add = (name: string, a = 0, b = 0): void => {
    const at = link.add(name);
    link.words[at + jobs.request.at.a] = a;
    link.words[at + jobs.request.at.b] = b;
  };
  const tags = (): number[] => batches.flatMap((words) => words.filter((_, index) => index % jobs.request.words === 0));
  return { environment, link, done, batches, driver, open, add, tags };
}

describe("a queue", () => {
  test("sends a batch in one record and gives back each request once", () => {
    const { link, batches, add, done, tags } = linked();
    add("x", 1, 2);
    add("y", 3, 4);
    link.flush();
    link.flush();
    expect(batches.map((words) => words.filter((_, index) => index % 3 > 0))).toEqual([[1, 2, 3, 4]]);
    const [x, y] = tags();
    expect(link.receive(completions([y!, 7]))).toBeUndefined();
    expect(link.receive(completions([y!, 7]))).toMatch(/not out/);
    expect(link.receive(completions([x!, 8]))).toBeUndefined();
    expect(done).toEqual([["y", 7], ["x", 8]]);
    expect(link.out).toBe(0);
  });

  test("holds a driver to the smaller of its depth and the queue's", () => {
    const few = linked({ depth: 2 });
    few.add("x");
    few.add("y");
    expect(few.link.room).toBe(0);
    expect(() => few.link.add("z")).toThrow(/no more are allowed/);
    expect(linked({ depth: 1_000 }).link.room).toBe(depth);
  });

  test("gives back what a driver had in the order it was added, sent or not", () => {
    const { link, add, tags, open, done } = linked();
    for (const name of ["a", "b", "c"]) add(name);
    link.flush();
    link.receive(completions([tags()[1]!, 0]));
    add("d");
    expect(link.close()).toEqual(["a", "c", "d"]);
    expect(link.close()).toEqual([]);
    expect([link.isOpen, link.room, link.out]).toEqual([false, 0, 0]);
    open();
    for (const tag of tags()) expect(link.receive(completions([tag, 0]))).toMatch(/not out/);
    expect(done).toHaveLength(1);
  });

  test("a reason of the class ends the batch there", () => {
    const { link, add, tags, done } = linked();
    add("a");
    add("b");
    link.flush();
    const [a, b] = tags();
    expect(link.receive(completions([a!, 99], [b!, 0]))).toBe("99 is no result");
    expect(done).toEqual([["a", 99]]);
    expect(link.close()).toEqual(["b"]);
  });

  test("what the class ends in the middle of a batch stays ended", () => {
    const environment = new TestEnvironment();
    const seen: string[] = [];
    const link: QueueLink<string> = new QueueLink<string>(jobs, environment, {
      completed: (request) => {
        seen.push(request);
        link.close();
        return undefined;
      },
    });
    const sent: number[] = [];
    link.open({ send: (_kind, _id, _tag, payload) => sent.push(...new Uint32Array(payload.slice().buffer)) > 0 }, depth);
    link.add("a");
    link.add("b");
    link.flush();
    expect(link.receive(completions([sent[0]!, 0], [sent[3]!, 0]))).toBeUndefined();
    expect(seen).toEqual(["a"]);
  });

  test("records at any place in memory are read", () => {
    const { link, add, tags, done } = linked();
    add("a");
    link.flush();
    const { payload } = completions([tags()[0]!, 5]);
    const shifted = new Uint8Array(payload.length + 1);
    shifted.set(payload, 1);
    expect(link.receive({ kind: RecordKind.completions, id: jobs.id, tag: 0, payload: shifted.subarray(1) })).toBeUndefined();
    expect(done).toEqual([["a", 5]]);
  });

  test("a full inbox is tried again; what is added meanwhile goes along", () => {
    const { link, add, batches, driver, environment } = linked();
    driver.full = true;
    add("a", 1);
    link.flush();
    add("b", 2);
    link.flush();
    environment.clock.advance(5_000);
    expect(batches).toEqual([]);
    driver.full = false;
    environment.clock.advance(1_000);
    expect(batches).toHaveLength(1);
    expect(batches[0]!.filter((_, index) => index % 3 === 1)).toEqual([1, 2]);
    link.close();
    expect(environment.clock.pending).toBe(0);
  });

  test("any order of adding, completing and restarting: each request ends once, tags repeat never", () => {
    const step = fc.oneof(fc.constant("add" as const), fc.constant("flush" as const), fc.constant("close" as const), fc.nat(depth - 1));
    fc.assert(fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const { link, add, tags, done, open } = linked();
      const names: string[] = [];
      const back: string[] = [];
      const answered = new Set<number>();
      let sentBefore = 0;
      for (const action of steps) {
        if (action === "add" && link.room > 0) add(names[names.push(`r${names.length}`) - 1]!);
        if (action === "flush") link.flush();
        if (action === "close") {
          back.push(...link.close());
          open();
          sentBefore = tags().length;
        }
        if (typeof action === "number") {
          const tag = tags().slice(sentBefore).filter((one) => !answered.has(one))[action];
          if (tag === undefined) continue;
          answered.add(tag);
          expect(link.receive(completions([tag, 0]))).toBeUndefined();
        }
      }
      back.push(...link.close());
      expect([...done.map(([name]) => name), ...back].toSorted()).toEqual(names.toSorted());
      expect(new Set(tags()).size).toBe(tags().length);
      expect(tags()).not.toContain(0);
    }));
  });
});

describe("the deadline", () => {
  test("is reported once per driver, for the oldest request, with one timer", () => {
    const { link, add, environment, tags, open } = linked();
    add("a");
    link.flush();
    environment.clock.advance(60_000);
    add("b");
    link.flush();
    expect(environment.clock.pending).toBe(1);
    link.receive(completions([tags()[0]!, 0]));
    environment.clock.advance(99_000);
    expect(environment.failures).toEqual([]);
    environment.clock.advance(1_000);
    expect(environment.failures).toMatchObject([{ kind: "deadline", operation: "jobs" }]);
    environment.clock.advance(1_000_000);
    expect(environment.failures).toHaveLength(1);
    link.close();
    open();
    add("c");
    link.flush();
    environment.clock.advance(100_000);
    expect(environment.failures).toHaveLength(2);
  });

  test("leaves no timer behind when nothing is out, and none for requests that may wait for ever", () => {
    const { link, add, environment, tags } = linked();
    add("a");
    link.flush();
    link.receive(completions([tags()[0]!, 0]));
    environment.clock.advance(200_000);
    expect(environment.clock.pending).toBe(0);
    const patient = new QueueLink<string>(contract.queues.patient, environment, { completed: () => undefined });
    patient.open({ send: () => true }, depth);
    patient.add("a");
    patient.flush();
    expect(environment.clock.pending).toBe(0);
    environment.clock.advance(1e12);
    expect(environment.failures).toEqual([]);
  });
});
