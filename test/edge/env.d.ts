/** What the tests' `env` and `exports` are: the bindings and the Worker of this repository. */
import type * as worker from "../../edge/worker.ts";

declare global {
  namespace Cloudflare {
    interface Env {
      readonly CORRELATOR: DurableObjectNamespace;
      readonly REQUESTS: AnalyticsEngineDataset;
      readonly TUNNEL_SECRET: string;
      readonly TUNNEL_DOMAIN: string;
    }
    interface GlobalProps {
      mainModule: typeof worker;
    }
  }
}
