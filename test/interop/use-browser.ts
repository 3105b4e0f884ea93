/** Pages in a real Chromium, which every name leads to this machine. */
import { type Browser, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll } from "vitest";
import { chromiumPath } from "./chromium.ts";

/** Opens a page at `url` and closes it after `use`. */
export type OnPage = <T>(url: string, use: (page: Page) => Promise<T>) => Promise<T>;

/** Call it once, at the top of a suite that is skipped where `chromiumPath` is undefined. */
export function useBrowser(): OnPage {
  let browser: Browser | undefined;
  beforeAll(async () => {
    browser = await chromium.launch({
      ...(chromiumPath === undefined ? {} : { executablePath: chromiumPath }),
      args: ["--no-sandbox", "--host-resolver-rules=MAP * 127.0.0.1"],
    });
  }, 60_000);
  afterAll(async () => browser?.close());
  return async (url, use) => {
    if (browser === undefined) throw new Error("the browser was not started yet");
    const page = await browser.newPage();
    try {
      await page.goto(url, { waitUntil: "domcontentloaded" });
      return await use(page);
    } finally {
      await page.close();
    }
  };
}
