/** Models are found by what they are compatible with, most specific name first. */
import { describe, expect, test } from "vitest";
import { allModels, findModel } from "./find-model.ts";

describe("findModel", () => {
  test("finds every model of the folder by each of its names", async () => {
    const models = await allModels();
    for (const [name, model] of models) expect(model.compatible).toContain(name);
    expect([...models.keys()]).toEqual(expect.arrayContaining(["mc146818", "uart-16550"]));
  });

  test("takes the first name that any model has", async () => {
    const model = await findModel(["acme,clock-9", "mc146818", "uart-16550"]);
    expect(model.compatible).toContain("mc146818");
  });

  test("says what there is when nothing fits", async () => {
    await expect(findModel(["acme,clock-9"])).rejects.toMatchObject({ code: "NotFound" });
    await expect(findModel(["acme,clock-9"])).rejects.toThrow(/compatible with acme,clock-9; there are .*mc146818.*uart-16550/);
    await expect(findModel([])).rejects.toThrow("(nothing)");
  });
});
