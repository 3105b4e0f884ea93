/** Opens a URL in the browser of the person at the terminal, where there can be one. */
import { spawn } from "node:child_process";

/** Whether a browser was asked; it may still refuse. Over ssh, or without a desktop, there is none. */
export function openInBrowser(url: string, environment: NodeJS.ProcessEnv): boolean {
  const command = openerOf(process.platform, environment);
  if (command === undefined) return false;
  const [program, ...parameters] = command;
  const child = spawn(program, [...parameters, url], { detached: true, stdio: "ignore" });
  child.on("error", () => {});
  child.unref();
  return true;
}

/** What opens a URL on this kind of system; no shell reads the URL. */
export function openerOf(
  platform: NodeJS.Platform,
  environment: NodeJS.ProcessEnv,
): readonly [string, ...string[]] | undefined {
  const has = (name: string): boolean => (environment[name] ?? "") !== "";
  if (has("SSH_CONNECTION")) return undefined;
  if (platform === "darwin") return ["open"];
  if (platform === "win32") return ["rundll32", "url.dll,FileProtocolHandler"];
  return has("DISPLAY") || has("WAYLAND_DISPLAY") ? ["xdg-open"] : undefined;
}
