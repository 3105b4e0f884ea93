/** How long a test waits for what should come at once; generous, because the machine may be busy. */
export const SOON_MS = 10_000;
