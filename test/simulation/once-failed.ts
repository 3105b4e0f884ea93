/** Seeds that found a mistake of ours, and which. They mean something only as long as the simulation itself is not changed. */
export const onceFailed: readonly { readonly seed: number; readonly found: string }[] = [];
