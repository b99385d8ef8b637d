/** The order of drivers that depend on each other: dependencies first, cycles and unknown names refused. */
import { AirlockError } from "../api/errors.ts";

/**
 * Levels of drivers: those of one level depend only on drivers of earlier levels, so a level can start or stop at once.
 * Within a level the given order is kept. Throws MachineFileInvalid for a cycle (the message walks it), NotFound for a
 * dependency that does not exist.
 */
export function dependencyLevels(dependsOn: ReadonlyMap<string, readonly string[]>): readonly (readonly string[])[] {
  for (const [driver, dependencies] of dependsOn) {
    for (const dependency of dependencies) {
      if (dependsOn.has(dependency)) continue;
      const message = `driver "${driver}" depends on "${dependency}", which does not exist; there are: ${[...dependsOn.keys()].join(", ")}`;
      throw new AirlockError("NotFound", message, { driver, dependency });
    }
  }
  const placed = new Set<string>();
  const levels: string[][] = [];
  while (placed.size < dependsOn.size) {
    const open = [...dependsOn].filter(([driver]) => !placed.has(driver));
    const level = open.filter(([, dependencies]) => dependencies.every((name) => placed.has(name))).map(([driver]) => driver);
    if (level.length === 0) {
      const cycle = findCycle(open[0]![0], dependsOn, placed);
      throw new AirlockError("MachineFileInvalid", `drivers depend on each other in a circle: ${cycle.join(" -> ")}; remove one dependsOn`, { driver: cycle[0] });
    }
    for (const driver of level) placed.add(driver);
    levels.push(level);
  }
  return levels;
}

/** Walks from `start` along dependencies that have no place yet until a driver comes again. */
function findCycle(start: string, dependsOn: ReadonlyMap<string, readonly string[]>, placed: ReadonlySet<string>): string[] {
  const path: string[] = [];
  let at = start;
  while (!path.includes(at)) {
    path.push(at);
    at = dependsOn.get(at)!.find((name) => !placed.has(name))!;
  }
  return [...path.slice(path.indexOf(at)), at];
}
