/**
 * Makes `*.localhost` this machine, as it is in browsers and curl: the names of services under an edge of this machine.
 * Node asks the system's resolver, which often does not know them.
 */
import dns, { type LookupAddress, type LookupAllOptions } from "node:dns";

const { lookup } = dns;

type Answered = (
  error: NodeJS.ErrnoException | null,
  address: string | LookupAddress[],
  family?: number,
) => void;

function lookupLocalhost(name: string, options: LookupAllOptions, answered: Answered): void {
  if (!name.endsWith(".localhost")) {
    lookup(name, options, answered);
  } else if (options.all) {
    process.nextTick(answered, null, [{ address: "127.0.0.1", family: 4 }]);
  } else {
    process.nextTick(answered, null, "127.0.0.1", 4);
  }
}

Object.assign(dns, { lookup: lookupLocalhost });
