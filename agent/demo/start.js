/**
 * What `npm start` runs: `main.ts`. JavaScript that keeps what is compiled, for the reason that `bin/agent.js` has.
 */
import { enableCompileCache } from "node:module";

enableCompileCache();
await import("./main.ts");
