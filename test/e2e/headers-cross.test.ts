/** Header fields and statuses: what crosses unchanged, and what must never cross. */
import { describe, expect, test } from "vitest";
import { bothWays } from "../support/differential.ts";
import { type Field, values, Visitor } from "../support/raw-http.ts";
import { useTunnel } from "../support/use-tunnel.ts";

const tunnel = useTunnel();

/** Text as the bytes of its UTF-8, in the latin-1 strings that the raw visitor and Node's server speak. */
function bytesOf(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

describe("a request's fields cross", () => {
  const cases: readonly (readonly [what: string, fields: readonly Field[]])[] = [
    ["an empty value", [["X-Empty", ""]]],
    ["a value with inner blanks and tabs", [["X-Blanks", "a  b\tc"]]],
    ["punctuation", [["X-Punctuation", `"quoted, text"; a='b'; {"json": [1, 2]} <\\>`]]],
    ["bytes beyond ASCII", [["X-Greeting", bytesOf("Grüße, 世界 🚰")]]],
    ["8 KiB in one value", [["X-Long", "0123456789abcdef".repeat(512)]]],
    [
      "names that are something else in JavaScript",
      [
        ["__proto__", "a"],
        ["constructor", "b"],
      ],
    ],
    ["names of unusual characters", [["X!#$%&'*+-.^_`|~9", "a"]]],
    ["what offers compression", [["Accept-Encoding", "gzip;q=0.5, br, zstd, x-own"]]],
    [
      "credentials",
      [
        ["Authorization", "Basic dXNlcjpwYXNz"],
        ["Cookie", "a=1; b=2"],
      ],
    ],
    [
      "conditions",
      [
        ["If-None-Match", '"a", W/"b"'],
        ["If-Modified-Since", "Sat, 01 Jan 2000 00:00:00 GMT"],
      ],
    ],
    [
      "a hundred fields",
      Array.from({ length: 100 }, (_, i): Field => [`X-Field-${i}`, `value ${i}`]),
    ],
  ];
  test.for(cases)("%s", async ([, fields]) => {
    const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, { fields });

    expect(tunnelled.comparable).toEqual(direct.comparable);
  });

  test("repeated fields keep all their values in order", async () => {
    const arrival = tunnel.origin.next();
    await Visitor.ask(tunnel.through, {
      fields: [
        ["X-Many", "1"],
        ["X-Other", "x"],
        ["X-Many", "2"],
      ],
    });

    // A list may be one line or several (RFC 9110 section 5.3); workerd makes it one.
    expect(values((await arrival).fields, "x-many").join(", ")).toBe("1, 2");
  });

  test("several Cookie fields are joined as cookies, not as a list", async () => {
    const arrival = tunnel.origin.next();
    await Visitor.ask(tunnel.through, {
      fields: [
        ["Cookie", "a=1"],
        ["Cookie", "b=2"],
        ["Cookie", "c=3"],
      ],
    });

    expect(values((await arrival).fields, "cookie")).toEqual(["a=1; b=2; c=3"]);
  });

  test("a visitor's X-Forwarded-For is kept and at most added to", async () => {
    const arrival = tunnel.origin.next();
    await Visitor.ask(tunnel.through, { fields: [["X-Forwarded-For", "203.0.113.7"]] });

    expect(values((await arrival).fields, "x-forwarded-for").join(", ")).toMatch(
      /^203\.0\.113\.7(, |$)/,
    );
  });
});

describe("an answer's fields cross", () => {
  const cases: readonly (readonly [what: string, fields: readonly Field[]])[] = [
    [
      "several Set-Cookie, each on its own",
      [
        ["Set-Cookie", "a=1; Path=/"],
        ["Set-Cookie", "b=2, 3; Secure"],
        ["Set-Cookie", "a=4"],
      ],
    ],
    [
      "repeated fields",
      [
        ["X-Many", "1"],
        ["X-Many", "2"],
        ["X-Many", "1"],
      ],
    ],
    ["an empty value", [["X-Empty", ""]]],
    ["bytes beyond ASCII", [["X-Greeting", bytesOf("Grüße, 世界 🚰")]]],
    [
      "names that are something else in JavaScript",
      [
        ["__proto__", "a"],
        ["constructor", "b"],
      ],
    ],
    ["8 KiB in one value", [["X-Long", "0123456789abcdef".repeat(512)]]],
    [
      "a hundred fields",
      Array.from({ length: 100 }, (_, i): Field => [`X-Field-${i}`, `value ${i}`]),
    ],
    [
      "what caches live by",
      [
        ["Cache-Control", "private, max-age=0"],
        ["ETag", 'W/"x"'],
        ["Vary", "Accept, Cookie"],
        ["Age", "7"],
        ["Expires", "0"],
      ],
    ],
    [
      "what browsers obey",
      [
        ["Strict-Transport-Security", "max-age=1"],
        ["Content-Security-Policy", "default-src 'self'"],
        ["Access-Control-Allow-Origin", "*"],
      ],
    ],
    ["a content type of its own", [["Content-Type", 'application/x-own; charset=koi8-r; a="b c"']]],
    [
      "a server's name",
      [
        ["Server", "own/1.0"],
        ["Via", "1.1 inner"],
      ],
    ],
    [
      "links and dispositions",
      [
        ["Link", "</a>; rel=preload, </b>; rel=next"],
        ["Content-Disposition", `attachment; filename*=UTF-8''%e2%82%ac.txt`],
      ],
    ],
  ];
  test.for(cases)("%s", async ([, fields]) => {
    tunnel.origin.on("/fields", async (received) => {
      await received.body();
      received.response.writeHead(200, fields.flat()).end("body");
    });
    const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, {
      target: "/fields",
    });

    expect(tunnelled.comparable).toEqual(direct.comparable);
  });

  test("an answer without a content type gets none", async () => {
    tunnel.origin.on("/untyped", (received) => void received.response.end("<p>guess"));
    const answer = await Visitor.ask(tunnel.through, { target: "/untyped" });

    expect(values(answer.fields, "content-type")).toEqual([]);
  });
});

describe("fields of one connection never cross", () => {
  test("those of a request, and whatever its Connection names", async () => {
    const arrival = tunnel.origin.next();
    await Visitor.ask(tunnel.through, {
      fields: [
        ["Connection", "keep-alive, X-Private, x-secret"],
        ["Keep-Alive", "timeout=5"],
        ["Proxy-Connection", "keep-alive"],
        ["Proxy-Authorization", "Basic dXNlcjpwYXNz"],
        ["TE", "trailers"],
        ["Trailer", "X-Checksum"],
        ["X-Private", "1"],
        ["X-Secret", "2"],
        ["X-Public", "3"],
      ],
    });
    const { fields } = await arrival;
    const names = new Set(fields.map(([name]) => name.toLowerCase()));

    expect(values(fields, "x-public")).toEqual(["3"]);
    const forbidden = [
      "keep-alive",
      "proxy-connection",
      "proxy-authorization",
      "te",
      "trailer",
      "x-private",
      "x-secret",
      "upgrade",
    ];
    expect(forbidden.filter((name) => names.has(name))).toEqual([]);
    expect(values(fields, "connection").join().toLowerCase()).not.toContain("x-");
  });

  test("Connection cannot name away what the tunnel adds", async () => {
    const arrival = tunnel.origin.next();
    await Visitor.ask(tunnel.through, {
      fields: [["Connection", "x-forwarded-host, x-forwarded-proto, host"]],
    });
    const { fields } = await arrival;

    expect(values(fields, "x-forwarded-host")).toEqual([tunnel.through.host]);
    expect(values(fields, "host")).toHaveLength(1);
  });

  test("those of an answer, and whatever its Connection names", async () => {
    tunnel.origin.on("/hop", (received) => {
      received.response
        .writeHead(
          200,
          [
            ["Connection", "close, X-Private"],
            ["Keep-Alive", "timeout=99"],
            ["Proxy-Authenticate", "Basic"],
            ["Proxy-Connection", "close"],
            ["X-Private", "1"],
            ["X-Public", "2"],
          ].flat(),
        )
        .end("body");
    });
    const { fields, body } = await Visitor.ask(tunnel.through, { target: "/hop" });
    const names = new Set(fields.map(([name]) => name.toLowerCase()));

    expect(body.toString()).toBe("body");
    expect(values(fields, "x-public")).toEqual(["2"]);
    const forbidden = ["keep-alive", "proxy-authenticate", "proxy-connection", "x-private"];
    expect(forbidden.filter((name) => names.has(name))).toEqual([]);
  });

  test("Sluice's own fields come from Sluice alone, in both directions", async () => {
    tunnel.origin.on("/own", (received) => {
      received.response
        .writeHead(200, { "sluice-error": "agent-offline", "Sluice-Other": "x" })
        .end();
    });
    const arrival = tunnel.origin.next();
    const answer = await Visitor.ask(tunnel.through, {
      target: "/own",
      fields: [["Sluice-Role", "admin"]],
    });
    const ours = ([name]: Field): boolean => name.toLowerCase().startsWith("sluice-");

    const id = [["sluice-request-id", expect.stringMatching(/^[0-9a-f-]{13}-\d+$/)]];
    expect((await arrival).fields.filter(ours)).toEqual(id);
    expect(answer.fields.filter(ours)).toEqual(id);
  });
});

describe("a status crosses with its reason", () => {
  test.for([
    [200, "OK"],
    [201, "Created"],
    [202, "Accepted"],
    [203, "Non-Authoritative Information"],
    [226, "IM Used"],
    [299, "Own Words"],
    [300, "Multiple Choices"],
    [400, "Bad Request"],
    [401, "Unauthorized"],
    [404, "Not Found"],
    [418, "I'm a Teapot"],
    [451, "Unavailable For Legal Reasons"],
    [499, "Own"],
    [500, "Internal Server Error"],
    [502, "Bad Gateway"],
    [503, "Service Unavailable"],
    [599, "Own Failure"],
  ] as const)("%d %s", async ([status, reason]) => {
    tunnel.origin.on("/status", async (received) => {
      await received.body();
      received.response.writeHead(status, reason, { "x-from": "origin" }).end("as the origin says");
    });
    const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, {
      target: "/status",
    });

    expect(tunnelled.comparable).toEqual(direct.comparable);
    expect(values(tunnelled.answer.fields, "sluice-error")).toEqual([]);
  });

  test.for([204, 205, 304])("%d crosses without a body", async (status) => {
    tunnel.origin.on("/bodyless", async (received) => {
      await received.body();
      received.response.writeHead(status, { etag: '"v2"' }).end();
    });
    const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, {
      target: "/bodyless",
    });

    expect(tunnelled.answer.body).toHaveLength(0);
    expect(tunnelled.answer.ended).toBe("complete");
    expect(tunnelled.answer.status).toBe(direct.answer.status);
    expect(values(tunnelled.answer.fields, "etag")).toEqual(['"v2"']);
  });

  test.for([301, 302, 303, 307, 308])(
    "a redirect (%d) is passed on, not followed",
    async (status) => {
      const seenBefore = tunnel.origin.log.length;
      const location = "https://other.example/elsewhere?a=%2F#part";
      tunnel.origin.on("/moved", async (received) => {
        await received.body();
        received.response.writeHead(status, { location }).end("moved");
      });
      const { direct, tunnelled } = await bothWays(tunnel.origin, tunnel.through, {
        target: "/moved",
      });

      expect(tunnelled.comparable).toEqual(direct.comparable);
      expect(values(tunnelled.answer.fields, "location")).toEqual([location]);
      expect(tunnel.origin.log.slice(seenBefore).map((received) => received.target)).toEqual([
        "/moved",
        "/moved",
      ]);
    },
  );

  test("interim answers of the origin do not disturb the final one", async () => {
    tunnel.origin.on("/early", async (received) => {
      received.response.writeProcessing();
      received.response.writeEarlyHints({ link: "</style.css>; rel=preload" });
      await received.body();
      received.response.writeHead(200, { "x-final": "yes" }).end("final");
    });
    const answer = await Visitor.ask(tunnel.through, { target: "/early" });

    expect(answer.status).toBe(200);
    expect(values(answer.fields, "x-final")).toEqual(["yes"]);
    expect(answer.body.toString()).toBe("final");
  });
});
