import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openConnector } from "./connector.ts";

let folder = "";
beforeAll(async () => void (folder = await mkdtemp(path.join(os.tmpdir(), "airlock-test-"))));
afterAll(() => rm(folder, { recursive: true }));

describe("a connector", () => {
  test("that appears after a moment is connected to", async () => {
    const socketPath = path.join(folder, "late");
    const opening = openConnector({ device: "nic", kind: "network", socketPath, peer: "none", options: {} });
    const server = net.createServer();
    setImmediate(() => server.listen(socketPath));
    const socket = await opening;
    expect(socket.destroyed).toBe(false);
    socket.destroy();
    await new Promise((resolve) => { server.close(resolve); });
  });

  test("that never appears is an error with its device", async () => {
    const opening = openConnector({ device: "nic", kind: "network", socketPath: path.join(folder, "never"), peer: "none", options: {} });
    await expect(opening).rejects.toMatchObject({ code: "PlatformUnavailable", message: expect.stringContaining('"nic"') as string });
  });
});
