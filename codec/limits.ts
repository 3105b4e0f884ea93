/**
 * Every number of the protocol, with its reason. `PROTOCOL.md` repeats the table and a test compares the two.
 *
 * Sizes are bytes, times are milliseconds.
 */
import { assert } from "./assert.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

/** The WebSocket subprotocol. It carries the version: a peer that lacks it fails the upgrade. */
export const PROTOCOL = "sluice.v1";

/** The largest WebSocket message either end accepts. workerd takes 32 MiB; one such message would be a quarter of an object's memory. */
export const MAX_MESSAGE_BYTES = 1 * MiB;

/** A sender stops adding frames to a message here: 256 KiB costs half the CPU per byte of 64 KiB in workerd, larger ones gain nothing. */
export const MESSAGE_TARGET_BYTES = 256 * KiB;

/** The largest payload of one DATA frame that a receiver accepts. */
export const MAX_DATA_BYTES = 256 * KiB;

/** The longest header of a DATA frame: array, kind, uint32 stream, bin32 length. A reader that leaves so much free in front spares a copy. */
export const HEADROOM_BYTES = 12;

/** The DATA payload a sender cuts when one stream alone is ready: the size of a socket read on either end. */
export const ALONE_DATA_BYTES = 64 * KiB;

/** The DATA payload (and the turn) when several streams are ready: 16 KiB is 6 ms of a 20 Mbit/s line, a fair wait for a small answer. */
export const SHARED_DATA_BYTES = 16 * KiB;

/** The largest encoded head or control frame, checked before anything is decoded. Half of Cloudflare's 128 KB header limit. */
export const MAX_HEAD_BYTES = 64 * KiB;

/** The most header fields (or trailer fields) in one frame: what a list costs is its count as much as its bytes. */
export const MAX_HEADER_FIELDS = 256;

/** The longest method name. The longest registered one (UPDATEREDIRECTREF) has 17 characters. */
export const MAX_METHOD_CHARS = 32;

/** The longest request target. Cloudflare refuses URLs above 16 KB before they reach a Worker. */
export const MAX_PATH_CHARS = 16 * KiB;

/** The longest note in CANCEL or GOAWAY: a sentence for a log, no more. */
export const MAX_NOTE_CHARS = 256;

/** The longest session id or software name in HELLO. */
export const MAX_NAME_CHARS = 128;

/** The most streams open at once on one session. The edge's budget has room for the smallest window of each. */
export const MAX_STREAMS = 2048;

/** Stream ids count up from 1 and are never used twice; at this one the session drains and is replaced. */
export const MAX_STREAM_ID = 2 ** 31 - 1;

/** The most credit a sender may hold for one half (RFC 9113 section 6.9.1 has the same bound). */
export const MAX_CREDIT_BYTES = 2 ** 31 - 1;

/** The memory one object, or one agent, may promise to senders: window bytes reserved plus body bytes not yet consumed. An object has 128 MB. */
export const BUDGET_BYTES = 32 * MiB;

/** Credit of a new stream's incoming body while the budget is at least three quarters free. */
export const INITIAL_WINDOW_BYTES = 64 * KiB;

/** The same while the budget is between a quarter and three quarters free: 500 stalled readers hold a quarter of the budget, not all. */
export const BUSY_WINDOW_BYTES = 16 * KiB;

/** The smallest window, when less than a quarter of the budget is free: `MAX_STREAMS` of them are that quarter. */
export const MIN_WINDOW_BYTES = 4 * KiB;

/** The largest window: 100 MB/s at 160 ms, and half of the budget for one stream. */
export const MAX_WINDOW_BYTES = 16 * MiB;

/** A body that was read at one pace for this long is steady: it does more than fill the buffers of a fast path. */
export const STEADY_READER_MS = 100;

/** A body of which so much was read is proven to have a reader: no path's socket buffers hold as much (Linux: up to 10 MB). */
export const PROVEN_READER_BYTES = 16 * MiB;

/** Credit for a request body before the agent says more; `MAX_STREAMS` of them are the whole budget. */
export const REQUEST_CREDIT_BYTES = 16 * KiB;

/** Round trips are taken to be at least this long when windows are sized: below it the ends' own event loops are the delay. */
export const MIN_RTT_MS = 5;

/** Sent bytes that the agent has not proven to have read, by a PONG it cannot guess: there the edge pauses, whatever credit it was given. workerd queues without bound what a peer does not read. */
export const UNPROVEN_BYTES = 16 * MiB;

/** Beside so many unanswered requests the next ones share messages: with fewer, each round trip is felt more than what it costs. */
export const COALESCE_BESIDE = 8;

/** How long a request waits for others at most, then: the shortest timer there is. */
export const COALESCE_MS = 1;

/** So many do not wait for more: a message of 8 has saved most of what messages cost. */
export const COALESCED_REQUESTS = 8;

/** What an agent keeps of messages that the edge has not acknowledged, at most: the largest window twice over, on its way out and unacknowledged. */
export const AGENT_RETAIN_BYTES = 32 * MiB;

/** The same at the edge, for each session, counted in its budget: 50 MB/s of upload at 160 ms. */
export const EDGE_RETAIN_BYTES = 8 * MiB;

/** What a session may retain though the budget is used up: a message or two, and room to ask for an ACK. */
export const LEAST_RETAINED_BYTES = 512 * KiB;

/** What keeping a message costs beside its bytes. */
export const RETAINED_MESSAGE_BYTES = 256;

/** Received bytes after which an ACK goes with the next message. */
export const ACK_RIDES_BYTES = 16 * KiB;

/** Received messages after which an ACK goes with the next message: rarely enough to cost small requests nothing. */
export const ACK_RIDES_MESSAGES = 16;

/** How long the edge keeps a session, with all its streams, after its socket was lost, unless its operator says otherwise. */
export const GRACE_MS = 15_000;

/** The longest grace: what waits is held in memory, and a visitor has gone home by then. */
export const MAX_GRACE_MS = 3_600_000;

/** How long a peer may take to say HELLO on a new socket. */
export const HELLO_WITHIN_MS = 10_000;

/** Control frames that may wait for a peer that does not read: a few for each stream it may open. Beyond it the session ends. */
export const MAX_QUEUED_FRAMES = 10_000;

/** Bytes of one body that wait for a turn before its writer is asked to pause: two full messages, so that one is always ready. */
export const OUTBOX_BYTES = 512 * KiB;

/** A peer that was silent this long while streams are open is asked for a sign of life (PING). */
export const PING_AFTER_MS = 10_000;

/** A peer that was asked and did not answer for two seconds gets no new streams while there is another. */
export const SUSPECT_AFTER_MS = 12_000;

/** A peer that was silent this long while streams are open is taken for dead: its socket is given up, and the grace begins. */
export const DEAD_AFTER_MS = 25_000;

assert(
  MESSAGE_TARGET_BYTES + MAX_DATA_BYTES + 16 <= MAX_MESSAGE_BYTES,
  "a message that meets its target fits the limit",
);
assert(
  MIN_WINDOW_BYTES * MAX_STREAMS <= BUDGET_BYTES / 4,
  "the last quarter of the budget holds the smallest window of every stream",
);
assert(
  REQUEST_CREDIT_BYTES * MAX_STREAMS <= BUDGET_BYTES,
  "request credit given without asking fits the budget",
);
assert(MAX_PATH_CHARS < MAX_HEAD_BYTES, "the longest path fits a head");
assert(
  EDGE_RETAIN_BYTES + MAX_MESSAGE_BYTES < UNPROVEN_BYTES,
  "what is sent again on a new socket leaves room to ask for the proof that it was read",
);
assert(DEAD_AFTER_MS > PING_AFTER_MS, "a peer is asked before it is given up");
