/** Writes shims/abi/contracts.h: `node dist/shims/tools/generate-contracts.js`, after a contract was changed and the project built. */
// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
import { existsSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { contractModules } from "./contract-modules.ts";
import { contractsHeader } from "./contracts-header.ts";

const own = path.dirname(fileURLToPath(import.meta.url));
const abiFolder = [path.join(own, "../abi"), path.join(own, "../../../shims/abi")].find((folder) => existsSync(path.join(folder, "airlock.h")));
if (abiFolder === undefined) throw new Error("shims/abi/airlock.h is not beside this build; build in a checkout");
const file = path.join(abiFolder, "contracts.h");
writeFileSync(file, contractsHeader(await contractModules()));
process.stdout.write(`${path.relative(process.cwd(), file)}\n`);
