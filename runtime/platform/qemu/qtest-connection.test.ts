import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { AccessWidth } from "../../api/grants.ts";
import type { QtestChannel } from "./qtest-channel.ts";
import { QtestConnection, maxPostedWrites } from "./qtest-connection.ts";

/** A QEMU that answers each line by `answer`, in pieces of `pieceBytes`. */
class FakeQemu implements QtestChannel {
  readonly lines: string[] = [];
  writes = 0;
  closed = 0;
  #pending = "";
  readonly #answer: (line: string) => string;
  readonly #pieceBytes: number;

  constructor(answer: (line: string) => string = (line) => (/^(?:in|read)/.test(line) ? "OK 0x0012\n" : "OK\n"), pieceBytes = 1_000) {
    this.#answer = answer;
    this.#pieceBytes = pieceBytes;
  }

  /** QEMU sends this by itself. */
  sends(text: string): void {
    this.#pending += text;
  }

  write(text: string): void {
    this.writes++;
    if (!text.endsWith("\n")) throw new Error(`an unfinished line was sent: ${text}`);
    for (const line of text.slice(0, -1).split("\n")) {
      this.lines.push(line);
      this.#pending += this.#answer(line);
    }
  }

  read(into: Uint8Array, offset: number): number {
    const piece = this.#pending.slice(0, Math.min(this.#pieceBytes, into.length - offset));
    this.#pending = this.#pending.slice(piece.length);
    into.set(Buffer.from(piece, "latin1"), offset);
    return piece.length;
  }

  close(): void {
    this.closed++;
  }
}

function connect(qemu: FakeQemu): { connection: QtestConnection; changes: string[] } {
  const changes: string[] = [];
  return { connection: new QtestConnection(qemu, (gsi, asserted) => changes.push(`${gsi}${asserted ? "+" : "-"}`)), changes };
}

describe("commands", () => {
  test("are formatted by space and width", () => {
    const qemu = new FakeQemu();
    const { connection } = connect(qemu);
    for (const width of [8, 16, 32] as const) {
      expect(connection.readPort(0x71, width)).toBe(0x12);
      connection.writePort(0xfffc, width, 7);
      expect(connection.readMemory(0xfed9_0000, width)).toBe(0x12);
      connection.writeMemory(0xe000_0000, width, 2 ** width - 1);
    }
    connection.interceptIrqs();
    connection.stepClock(1_500);
    expect(qemu.lines).toEqual([
      "inb 0x71", "outb 0xfffc 0x7", "readb 0xfed90000", "writeb 0xe0000000 0xff",
      "inw 0x71", "outw 0xfffc 0x7", "readw 0xfed90000", "writew 0xe0000000 0xffff",
      "inl 0x71", "outl 0xfffc 0x7", "readl 0xfed90000", "writel 0xe0000000 0xffffffff",
      "irq_intercept_in ioapic", "clock_step 1500",
    ]);
  });

  test("posted writes wait for a flush, a read or a full batch, and keep their order", () => {
    const qemu = new FakeQemu();
    const { connection } = connect(qemu);
    connection.writePort(1, 8, 1);
    connection.writePort(2, 8, 2);
    expect(qemu.writes).toBe(0);
    connection.readPort(3, 8);
    expect([qemu.writes, connection.posted]).toEqual([1, 0]);
    connection.writePort(4, 8, 4);
    connection.flush();
    connection.flush();
    expect(qemu.writes).toBe(2);
    expect(qemu.lines).toEqual(["outb 0x1 0x1", "outb 0x2 0x2", "inb 0x3", "outb 0x4 0x4"]);
    for (let i = 0; i < maxPostedWrites; i++) connection.writePort(5, 8, 5);
    expect([qemu.writes, connection.posted]).toEqual([3, 0]);
  });

  test("nothing malformed is ever sent, whatever the numbers", () => {
    const hostile = fc.oneof(
      fc.double(), fc.integer(), fc.maxSafeInteger(), fc.constantFrom(Number.NaN, Infinity, -Infinity, -0, 2 ** 53, 2 ** 64, 1e300, 0.5),
      fc.constantFrom("1", "0x70\nclock_set 0", null, undefined, {}, [], 5n).map((value) => value as unknown as number),
    );
    const width = fc.oneof(fc.constantFrom(8, 16, 32), hostile).map((value) => value as AccessWidth);
    fc.assert(fc.property(fc.constantFrom("readPort", "writePort", "readMemory", "writeMemory", "stepClock"), hostile, width, hostile, (method, place, bits, value) => {
      const qemu = new FakeQemu((line) => (/^(?:in|read)/.test(line) ? "OK 0x0\n" : "OK\n"));
      const { connection } = connect(qemu);
      let refused: unknown;
      try {
        if (method === "stepClock") connection.stepClock(place);
        else if (method === "readPort" || method === "readMemory") connection[method](place, bits);
        else connection[method](place, bits, value);
        connection.flush();
      } catch (error) {
        refused = error;
      }
      expect([undefined, "InvalidArgument"]).toContain((refused as { code?: string } | undefined)?.code);
      expect(qemu.lines).toHaveLength(refused === undefined ? 1 : 0);
      for (const line of qemu.lines) expect(line).toMatch(/^(?:(?:in|read)[bwl] 0x[0-9a-f]+|(?:out|write)[bwl] 0x[0-9a-f]+ 0x[0-9a-f]{1,8}|clock_step \d{1,16})$/);
    }), { numRuns: 2_000 });
  });
});

describe("interrupts", () => {
  test("are found wherever they arrive: before the answer, after it, by themselves, cut into pieces", () => {
    for (const pieceBytes of [1, 3, 7, 1_000]) {
      const qemu = new FakeQemu((line) => (line.startsWith("in") ? "IRQ raise 8\nIRQ lower 8\nOK 0x68\nIRQ raise 4\n" : "OK 17\n"), pieceBytes);
      const { connection, changes } = connect(qemu);
      expect(connection.readPort(0x71, 8)).toBe(0x68);
      expect(changes).toEqual(["8+", "8-"]);
      qemu.sends("IRQ lower 4\n");
      connection.stepClock(0);
      expect(changes).toEqual(["8+", "8-", "4+", "4-"]);
    }
  });

  test("are reported after the exchange, in order, also when the receiver uses the connection", () => {
    const qemu = new FakeQemu((line) => (line === "inb 0x1" ? "IRQ raise 1\nIRQ raise 2\nOK 0x1\n" : line === "inb 0x2" ? "IRQ lower 1\nOK 0x2\n" : "OK\n"));
    const seen: string[] = [];
    const connection: QtestConnection = new QtestConnection(qemu, (gsi, asserted) => {
      seen.push(`${gsi}${asserted ? "+" : "-"}`);
      if (gsi === 1 && asserted) seen.push(`read ${connection.readPort(2, 8)}`);
    });
    expect(connection.readPort(1, 8)).toBe(1);
    expect(seen).toEqual(["1+", "read 2", "2+", "1-"]);
  });
});

describe("loss", () => {
  const failures: readonly [string, string][] = [
    ["the end", ""], ["the end in a line", "OK 0x"], ["a refusal", "FAIL Unknown command\n"], ["an error", "ERR\n"], ["no number", "OK what\n"],
    ["too wide a number", "OK 0x100\n"], ["a line without end", "x".repeat(5_000)], ["no interrupt number", "IRQ raise 99999\nOK 0x0\n"], ["no level", "IRQ toggle 8\nOK 0x0\n"],
  ];
  test.each(failures)("%s is HardwareLost, and so is everything after it", (_name, reply) => {
    const qemu = new FakeQemu(() => reply);
    const { connection } = connect(qemu);
    expect(() => connection.readPort(0x71, 8)).toThrow(expect.objectContaining({ code: "HardwareLost" }));
    expect(() => connection.readPort(0x71, 8)).toThrow(expect.objectContaining({ code: "HardwareLost" }));
    expect(() => connection.writePort(0x71, 8, 0)).toThrow(expect.objectContaining({ code: "HardwareLost" }));
    expect(() => connection.flush()).toThrow(expect.objectContaining({ code: "HardwareLost" }));
    expect(qemu.writes).toBe(1);
  });

  test("after close nothing is sent", () => {
    const qemu = new FakeQemu();
    const { connection } = connect(qemu);
    connection.writePort(1, 8, 1);
    connection.close();
    expect(() => connection.flush()).toThrow(expect.objectContaining({ code: "HardwareLost" }));
    expect([qemu.writes, qemu.closed]).toEqual([0, 1]);
  });
});
