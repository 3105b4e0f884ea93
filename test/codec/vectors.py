"""The test vectors, read by somebody who knows only codec/PROTOCOL.md: Python's standard library, no msgpack library, nothing of
this repository but the vectors. Where the specification leaves out what an implementer needs, this file is where it shows.

    python3 test/codec/vectors.py codec/vectors.json
"""
import json
import re
import struct
import sys

MAX_MESSAGE, MAX_DATA, MAX_HEAD, MAX_FIELDS = 1048576, 262144, 65536, 256
MAX_ID = MAX_CREDIT = 2**31 - 1
MAX_SAFE = 2**53 - 1
KINDS = ["hello", "request", "response", "data", "end", "cancel", "credit", "ping", "pong", "goaway", "ack"]
CODES = {
    0: "not-needed", 1: "protocol-error", 2: "internal-error", 3: "flow-control-error", 4: "frame-too-large", 5: "cancelled",
    6: "body-mismatch", 7: "head-too-large", 8: "overloaded", 9: "draining", 10: "agent-lost", 11: "agent-stalled",
    12: "agent-offline", 16: "origin-refused", 17: "origin-reset", 18: "origin-timeout", 19: "origin-invalid", 32: "bad-request",
    33: "unauthorized", 34: "no-route", 35: "too-many-agents", 36: "upgrade-required", 40: "replaced", 41: "shutting-down",
}
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
TARGET = re.compile(r"/[\x21-\x7e]*|\*")


class Refused(Exception):
    def __init__(self, error="protocol-error"):
        super().__init__(error)
        self.error = error


def need(condition, error="protocol-error"):
    if not condition:
        raise Refused(error)


class Reader:
    def __init__(self, message):
        self.message, self.at = message, 0

    def bytes(self, count):
        need(self.at + count <= len(self.message))
        self.at += count
        return self.message[self.at - count : self.at]

    def uint(self, width):
        return int.from_bytes(self.bytes(width), "big")

    def scalar(self):
        marker = self.uint(1)
        if marker <= 0x7F:
            return marker
        if marker >= 0xE0:
            return marker - 0x100
        if 0xA0 <= marker <= 0xBF:
            return self.text(marker & 0x1F)
        if marker in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[marker]
        if 0xC4 <= marker <= 0xC6:
            return self.bytes(self.uint(1 << (marker - 0xC4)))
        if 0xCA <= marker <= 0xCB:
            return struct.unpack(">f" if marker == 0xCA else ">d", self.bytes(4 if marker == 0xCA else 8))[0]
        if 0xCC <= marker <= 0xCF:
            return self.uint(1 << (marker - 0xCC))
        if 0xD0 <= marker <= 0xD3:
            return int.from_bytes(self.bytes(1 << (marker - 0xD0)), "big", signed=True)
        if 0xD9 <= marker <= 0xDB:
            return self.text(self.uint(1 << (marker - 0xD9)))
        raise Refused()

    def text(self, size):
        try:
            return self.bytes(size).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused() from error

    def element(self):
        marker = self.message[self.at] if self.at < len(self.message) else 0
        if 0x90 <= marker <= 0x9F:
            count, self.at = marker & 0x0F, self.at + 1
        elif marker == 0xDC:
            self.at += 1
            count = self.uint(2)
        else:
            return self.scalar()
        need(count <= 2 * MAX_FIELDS, "frame-too-large")
        return [self.scalar() for _ in range(count)]

    def data(self):
        """DATA behind its kind: unsigned numbers and bins of 1, 2 or 4 bytes, and the size before the bytes."""
        marker = self.uint(1)
        need(marker <= 0x7F or 0xCC <= marker <= 0xCE)
        stream = marker if marker <= 0x7F else self.uint(1 << (marker - 0xCC))
        marker = self.uint(1)
        need(0xC4 <= marker <= 0xC6)
        size = self.uint(1 << (marker - 0xC4))
        need(1 <= stream <= MAX_ID and size >= 1)
        need(size <= MAX_DATA, "frame-too-large")
        return {"frame": "data", "stream": stream, "bytes": self.bytes(size)}

    def frame(self):
        start = self.at
        marker = self.uint(1)
        need(0x91 <= marker <= 0x9F)
        if marker == 0x93 and self.message[self.at : self.at + 1] == b"\x03":
            self.at += 1
            return self.data()
        values = [self.element() for _ in range(marker & 0x0F)]
        need(self.at - start <= MAX_HEAD, "frame-too-large")
        return checked(values)


def checked(values):
    def take():
        need(values)
        return values.pop(0)

    def integer(least, most):
        value = take()
        need(type(value) is int and least <= value <= most)
        return value

    def text(most):
        value = take()
        need(type(value) is str and len(value.encode("utf-16-le")) <= 2 * most and not CONTROL.search(value))
        return value

    def fields():
        value = take()
        need(type(value) is list and len(value) % 2 == 0 and all(type(each) is str for each in value))
        need(all(TOKEN.fullmatch(name) for name in value[::2]))
        need(not any(CONTROL.search(each) for each in value[1::2]))
        return value

    def length():
        value = take()
        need(value is None or (type(value) is int and -2 <= value <= MAX_SAFE))
        return value

    def code():
        return CODES.get(integer(0, 0xFFFF), "internal-error")

    kind = integer(0, 0xFFFF)
    if kind >= 64:
        return None
    need(kind < len(KINDS) and kind != 3)
    name = KINDS[kind]
    frame = {"frame": name}
    if name == "hello":
        frame |= {"session": text(128), "received": integer(0, MAX_SAFE), "maxStreams": integer(0, MAX_ID)}
        frame |= {"credit": integer(0, MAX_CREDIT), "grace": integer(0, 3600000), "software": text(128)}
    elif name == "request":
        frame |= {"stream": integer(1, MAX_ID), "credit": integer(0, MAX_CREDIT), "method": text(32), "path": text(16384)}
        frame |= {"length": length(), "headers": fields()}
        need(TOKEN.fullmatch(frame["method"]) and frame["method"].upper() != "CONNECT")
        need(TARGET.fullmatch(frame["path"]))
        need(frame["length"] != -2 or frame["method"] == "GET")
    elif name == "response":
        frame |= {"stream": integer(1, MAX_ID), "status": integer(101, 599), "reason": text(MAX_HEAD)}
        frame |= {"length": length(), "headers": fields()}
        need(frame["status"] == 101 or frame["status"] >= 200)
        need((frame["status"] == 101) == (frame["length"] == -2))
    elif name == "end":
        frame |= {"stream": integer(1, MAX_ID), "trailers": fields()}
    elif name == "cancel":
        frame |= {"stream": integer(1, MAX_ID), "code": code(), "note": text(256)}
    elif name == "credit":
        frame |= {"stream": integer(1, MAX_ID), "bytes": integer(1, MAX_CREDIT)}
    elif name in ("ping", "pong"):
        frame |= {"token": integer(0, MAX_ID)}
    elif name == "goaway":
        frame |= {"last": integer(0, MAX_ID), "code": code(), "note": text(256)}
    else:
        frame |= {"received": integer(0, MAX_SAFE)}
    need(not values)
    return frame


def frames_of(message):
    need(len(message) <= MAX_MESSAGE, "frame-too-large")
    need(message)
    reader, frames = Reader(message), []
    while reader.at < len(message):
        frame = reader.frame()
        if frame is not None:
            frames.append(frame)
    return frames


def pack(value):
    """The shortest msgpack of a value."""
    if value is None:
        return b"\xc0"
    if type(value) is int:
        if -32 <= value <= 127:
            return struct.pack("b", value)
        assert value > 0
        width = next(i for i in range(4) if value < 1 << (8 << i))
        return bytes([0xCC + width]) + value.to_bytes(1 << width, "big")
    if type(value) is list:
        head = bytes([0x90 + len(value)]) if len(value) < 16 else b"\xdc" + struct.pack(">H", len(value))
        return head + b"".join(map(pack, value))
    text = type(value) is str
    body = value.encode() if text else value
    if text and len(body) < 32:
        return bytes([0xA0 + len(body)]) + body
    width = next(i for i in range(3) if len(body) < 1 << (8 << i))
    return bytes([(0xD9 if text else 0xC4) + width]) + len(body).to_bytes(1 << width, "big") + body


def packed(frame):
    values = [KINDS.index(frame["frame"])] + [value for key, value in frame.items() if key != "frame"]
    if "code" in frame:
        values[2] = next(number for number, code in CODES.items() if code == frame["code"])
    return pack(values)


# The vectors' own ways of saying things shortly.


def bytes_of(text):
    parts = []
    for group in text.split():
        digits, _, times = group.partition("*")
        parts.append(bytes.fromhex(digits) * int(times or 1))
    return b"".join(parts)


def text_of(value):
    return value if type(value) is str else "".join(part * times for part, times in value)


def frame_of(vector):
    frame = dict(vector)
    for key in ("session", "software", "method", "path", "reason", "note"):
        if key in frame:
            frame[key] = text_of(frame[key])
    for key in ("headers", "trailers"):
        if key in frame:
            fields = frame[key]
            frame[key] = fields["repeat"] * fields["times"] if type(fields) is dict else [text_of(each) for each in fields]
    if frame["frame"] == "data":
        frame["bytes"] = bytes_of(frame["bytes"])
    return frame


def is_counted(frames):
    return not (len(frames) == 1 and frames[0]["frame"] in ("hello", "ack"))


def watch(steps):
    """Looks on at a conversation as it should be, and asserts what PROTOCOL.md says of numbers, ACKs and credit."""
    for step in steps:
        if step.get("frames", 0) is not None and "message" in step:
            assert frames_of(bytes_of(step["message"])) == [frame_of(each) for each in step["frames"]], step

    sessions = {}  # per session id: what each end has received, and the credit of each half
    greeting, session = None, None
    for step in steps:
        if "message" not in step:
            continue
        end, other = step["from"], "agent" if step["from"] == "edge" else "edge"
        frames = frames_of(bytes_of(step["message"]))
        if frames[0]["frame"] == "hello":
            if step.get("lost"):
                continue
            if end == "edge":
                session = sessions.setdefault(frames[0]["session"], {"received": {"agent": 0, "edge": 0}, "credit": {}})
                assert frames[0]["received"] == session["received"]["edge"], "what the edge says it has received"
                assert greeting["session"] != frames[0]["session"] or greeting["received"] == session["received"]["agent"]
            else:
                greeting = frames[0]
            continue
        if step.get("lost"):
            continue
        if is_counted(frames):
            session["received"][other] += 1
        for frame in frames:
            if frame["frame"] == "ack":
                assert frame["received"] <= session["received"][end] , "an ACK of what has arrived"
            elif frame["frame"] == "request":
                session["credit"]["agent", frame["stream"]] = frame["credit"]
                session["credit"]["edge", frame["stream"]] = greeting["credit"]
            elif frame["frame"] == "data":
                session["credit"][end, frame["stream"]] -= len(frame["bytes"])
                assert session["credit"][end, frame["stream"]] >= 0, "no more than the credit"
            elif frame["frame"] == "credit":
                session["credit"][other, frame["stream"]] += frame["bytes"]


def sender(start, steps):
    held = start
    for step in steps:
        if "sends" in step:
            held -= step["sends"]
            assert held >= 0
        else:
            overflows = held + step["given"] > MAX_CREDIT
            assert overflows == ("error" in step)
            held += 0 if overflows else step["given"]
        assert held == step.get("left", held)


def receiver(window, steps):
    granted, buffered = window, 0
    for step in steps:
        if "arrive" in step:
            assert (step["arrive"] > granted) == ("error" in step)
            if "error" not in step:
                granted, buffered = granted - step["arrive"], buffered + step["arrive"]
                assert buffered == step["buffered"]
        else:
            buffered -= step["consumed"]
            missing = window - granted - buffered
            give = missing if missing * 8 >= window else 0
            granted += give
            assert give == step["give"]


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        vectors = json.load(file)
    for vector in vectors["accepted"]:
        message, frames = bytes_of(vector["message"]), [frame_of(each) for each in vector["frames"]]
        assert frames_of(message) == frames, vector["name"]
        assert is_counted(frames) == vector["counts"], vector["name"]
        assert (b"".join(map(packed, frames)) == message) == vector["shortest"], vector["name"]
    for vector in vectors["refused"]:
        try:
            frames_of(bytes_of(vector["message"]))
        except Refused as refused:
            assert refused.error == vector["error"], vector["name"]
        else:
            raise AssertionError(f"accepted: {vector['name']}")
    for vector in vectors["conversations"]:
        try:
            if len(vector["tests"]) == 2:
                watch(vector["steps"])
        except AssertionError as error:
            raise AssertionError(vector["name"]) from error
    for vector in vectors["credit"]["senders"]:
        sender(vector["start"], vector["steps"])
    for vector in vectors["credit"]["receivers"]:
        receiver(vector["window"], vector["steps"])
    credit = len(vectors["credit"]["senders"]) + len(vectors["credit"]["receivers"])
    print(
        f"{len(vectors['accepted'])} accepted, {len(vectors['refused'])} refused, "
        f"{len(vectors['conversations'])} conversations, {credit} of credit: all as they should be"
    )


main()
