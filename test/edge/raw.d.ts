/** A file of the repository as text: Vite's `?raw`. */
declare module "*?raw" {
  const text: string;
  // oxlint-disable-next-line import/no-default-export -- so Vite gives it
  export default text;
}
