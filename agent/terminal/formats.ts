/** What `--log-format` can be: `auto` is `pretty`, live on a terminal and plain lines elsewhere. */
export const formats = ["auto", "pretty", "json", "logfmt"] as const;
