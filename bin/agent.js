#!/usr/bin/env node
/** `agent`: a checkout runs its sources as they are; a package has only what `npm run build` made of them. */
import { existsSync } from "node:fs";

const sources = new URL("../agent/cli.ts", import.meta.url);
await import(existsSync(sources) ? sources.href : "../dist/agent/cli.js");
