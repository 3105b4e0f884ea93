/** A URL as a QR code on the terminal, or the reason why it cannot be. */
import type { OpenLog } from "./open-log.ts";
import { qrCode, qrLines } from "./qr.ts";
import type { Line, Style } from "./text.ts";

const INDENT = "  ";

export function showQrCode({ log, live }: OpenLog, url: string): void {
  const columns = live?.columns ?? Number.POSITIVE_INFINITY;
  const code = qrCode(url);
  const width = INDENT.length + (code?.length ?? 0) + 4;
  if (code === undefined || width > columns) {
    const why = code === undefined ? "is too long for a QR code" : "has a QR code that is too wide";
    log.say(`${url} ${why} for this terminal`);
    return;
  }
  if (live?.colourful === true) {
    const style: Style = ["black", "bgWhiteBright"];
    live.rows(qrLines(code, "dark").map((row): Line => [[INDENT], [row, style]]));
  } else {
    log.block(
      qrLines(code, "light")
        .map((row) => INDENT + row)
        .join("\n"),
    );
  }
}
