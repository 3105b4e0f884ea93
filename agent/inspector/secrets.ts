/** Which header fields hold secrets. They are shown only to who asks for them. */
import type { HeaderList } from "../../codec/frame.ts";
import { type Field, MASK } from "./api.ts";

const named = new Set([
  "authorization",
  "proxy-authorization",
  "cookie",
  "set-cookie",
  "x-api-key",
  "api-key",
  "apikey",
  "x-goog-api-key",
  "cf-access-jwt-assertion",
]);

/** Whoever calls a field a token, as GitLab and Vault do, means one. */
const alike = /secret|password|passwd|private-key|subscription-key|api[-_]?key|token/;

/** Whether a field of this name, in any case, is likely to hold a secret. */
export function isSecret(name: string): boolean {
  const lower = name.toLowerCase();
  return named.has(lower) || alike.test(lower);
}

/** Fields in order and case. Secret values are replaced unless they shall be seen. */
export function fieldsOf(headers: HeaderList, reveal: boolean): Field[] {
  const fields: Field[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string;
    const secret = isSecret(name);
    const value = secret && !reveal ? MASK : (headers[i + 1] as string);
    fields.push({ name, value, secret });
  }
  return fields;
}
