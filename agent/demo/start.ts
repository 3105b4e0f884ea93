/**
 * What `npm start` runs: `demo.ts`, after the first line is out.
 */
import { enableCompileCache } from "node:module";
import "../young-heap.ts";

// As in `cli.ts`.
enableCompileCache();
await import("./main.ts");
