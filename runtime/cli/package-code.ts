/** A driver package's code, made ready for its tier: a bundle of its files, or its module, checked and compiled. */
import { bundleDriver } from "../host/bundle.ts";
import type { DriverBundle } from "../host/driver-host.ts";
import { loadModule } from "../host/module-package.ts";
import type { LoadedManifest } from "../machine/manifest.ts";

/**
 * `isCounted` has modules count their steps, for deterministic worlds.
 * @throws AirlockError BundleInvalid when the code is not what drivers may be
 */
export function packageCode({ directory, manifest, mainFile }: LoadedManifest, { isCounted }: { readonly isCounted: boolean }): Promise<DriverBundle> {
  if (manifest.tier !== "wasm") return bundleDriver(directory, manifest.main);
  return loadModule({ directory, file: mainFile, sha256: manifest.sha256!, isCounted });
}
