/** What is this machine itself. */

/** Whether a URL's host is this machine: what is sent there passes no network. */
export function isLoopback(url: URL): boolean {
  const { hostname } = url;
  return (
    hostname === "localhost" ||
    hostname.endsWith(".localhost") ||
    hostname === "[::1]" ||
    /^127(?:\.\d{1,3}){3}$/.test(hostname)
  );
}
