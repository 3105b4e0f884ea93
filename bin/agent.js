#!/usr/bin/env node
/**
 * `agent`: a checkout runs its sources as they are; a package has only what `npm run build` made of them.
 *
 * Node keeps what it has compiled, and stripped of types in a checkout, for the next start. This file is JavaScript so
 * that it can say so before there is anything to strip (figures: `bench/README.md`, "The first line").
 */
import { existsSync } from "node:fs";
import { enableCompileCache } from "node:module";

enableCompileCache();
const sources = new URL("../agent/cli.ts", import.meta.url);
await import(existsSync(sources) ? sources.href : "../dist/agent/cli.js");
