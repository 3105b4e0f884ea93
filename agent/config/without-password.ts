/** What somebody wrote as the value of a flag, as it may be shown: without a secret that got into it. */

/**
 * A URL without what may be a name and a password in it. All before the last `@` goes, whatever it is: a
 * password that was not escaped may have any character of a URL's. What is no URL, and no `name:password@host`, is as it was.
 */
export function withoutPassword(text: string): string {
  const scheme = /^\s*(?!unix:)[a-z][a-z0-9+.-]*:\/\//i.exec(text)?.[0];
  if (scheme === undefined) return text.replace(/^[^/\\:]{2,}:(?!\/).*@/s, "••••@");
  return scheme + text.slice(scheme.length).replace(/^.*@/s, "••••@");
}

/** Whether this is a token (a JSON Web Token, which begins with `{"`) where the path of a file with one belongs. */
export function isToken(path: string): boolean {
  return /^\s*eyJ[\w-]+\.[\w-]+\./.test(path);
}
