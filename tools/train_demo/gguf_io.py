"""GGUF files: block formats, a writer and a reader.  numpy only.

Sources: the GGUF specification (ggml docs/gguf.md) and ggml's block layouts.  A tensor of
shape (rows, cols) here is written with the dimensions reversed, as GGUF wants: the fastest
dimension, the one that blocks run along, comes first.
"""
import struct

import numpy as np

MAGIC, VERSION, ALIGNMENT = b"GGUF", 3, 32

# name -> (ggml type number, weights per block, bytes per block)
TYPES = {
    "F32": (0, 1, 4),
    "F16": (1, 1, 2),
    "Q4_0": (2, 32, 18),
    "Q8_0": (8, 32, 34),
    "BF16": (30, 1, 2),
    "MXFP4": (39, 32, 17),
}
TYPE_NAMES = {number: name for name, (number, _, _) in TYPES.items()}

# The 16 values of an E2M1 nibble.  ggml stores twice these and halves the scale: the same numbers.
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=np.float32)
# Midpoints between neighbouring magnitudes.
E2M1_EDGES = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0], dtype=np.float32)


# ---- block formats: float32 array of shape (n, 32) -> uint8 array (n, bytes), and back ----

def quantize_q8_0(x):
    amax = np.abs(x).max(axis=1, keepdims=True)
    d = (amax / np.float32(127)).astype(np.float32)
    inverse = np.divide(np.float32(1), d, out=np.zeros_like(d), where=d > 0)
    v = x * inverse
    q = np.trunc(v + np.copysign(np.float32(0.5), v)).astype(np.int8)
    return np.concatenate([d.astype("<f2").view(np.uint8), q.view(np.uint8)], axis=1)


def dequantize_q8_0(b):
    d = b[:, :2].copy().view("<f2").astype(np.float32)
    return d * b[:, 2:].copy().view(np.int8).astype(np.float32)


def quantize_q4_0(x):
    index = np.abs(x).argmax(axis=1)
    peak = x[np.arange(len(x)), index][:, None]
    d = (peak / np.float32(-8)).astype(np.float32)
    inverse = np.divide(np.float32(1), d, out=np.zeros_like(d), where=d != 0)
    q = np.minimum(15, (x * inverse + np.float32(8.5)).astype(np.uint8))
    nibbles = q[:, :16] | (q[:, 16:] << 4)
    return np.concatenate([d.astype("<f2").view(np.uint8), nibbles], axis=1)


def dequantize_q4_0(b):
    d = b[:, :2].copy().view("<f2").astype(np.float32)
    q = np.concatenate([b[:, 2:] & 15, b[:, 2:] >> 4], axis=1).astype(np.float32) - 8
    return d * q


def mxfp4_round(x, exponent):
    """x rounded to E2M1 times 2**exponent, as nibbles."""
    scaled = np.ldexp(x, -exponent)
    code = np.searchsorted(E2M1_EDGES, np.abs(scaled).ravel(), side="left")
    code = code.reshape(x.shape).astype(np.uint8)
    return np.where((scaled < 0) & (code > 0), code | 8, code).astype(np.uint8)


def quantize_mxfp4(x):
    """The scale is the power of two with the smaller squared error of the two candidates:
    the one that clips nothing above 6, and the one below it that may clip (OCP's choice)."""
    amax = np.abs(x).max(axis=1, keepdims=True)
    _, e = np.frexp(np.where(amax > 0, amax, 1))
    low = np.clip(e - 1 - 2, -126, 126).astype(np.int32)
    best = None
    for exponent in (low, low + 1):
        code = mxfp4_round(x, exponent)
        error = ((np.ldexp(E2M1[code], exponent) - x) ** 2).sum(axis=1, keepdims=True)
        if best is None:
            best = [exponent, code, error]
        else:
            better = error < best[2]
            best = [np.where(better, exponent, best[0]), np.where(better, code, best[1]), None]
    exponent, code, _ = best
    exponent = np.where(amax > 0, exponent, -126)
    nibbles = code[:, :16] | (code[:, 16:] << 4)
    return np.concatenate([(exponent + 127).astype(np.uint8), nibbles], axis=1)


def dequantize_mxfp4(b):
    exponent = b[:, :1].astype(np.int32) - 127
    code = np.concatenate([b[:, 1:] & 15, b[:, 1:] >> 4], axis=1)
    return np.ldexp(E2M1[code], exponent).astype(np.float32)


def to_bf16(x):
    bits = np.ascontiguousarray(x, dtype="<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def from_bf16(b):
    return (b.astype("<u4") << 16).view("<f4")


BLOCK = {
    "Q8_0": (quantize_q8_0, dequantize_q8_0),
    "Q4_0": (quantize_q4_0, dequantize_q4_0),
    "MXFP4": (quantize_mxfp4, dequantize_mxfp4),
}


def encode(x, kind):
    """float32 array -> the bytes of a tensor of that type."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    if kind == "F32":
        return x.astype("<f4").tobytes()
    if kind == "F16":
        return x.astype("<f2").tobytes()
    if kind == "BF16":
        return to_bf16(x).tobytes()
    if x.shape[-1] % 32:
        raise ValueError(f"{kind}: {x.shape[-1]} columns are not a multiple of 32")
    return BLOCK[kind][0](x.reshape(-1, 32)).tobytes()


def decode(data, kind, shape):
    if kind == "F32":
        return np.frombuffer(data, "<f4").reshape(shape).copy()
    if kind == "F16":
        return np.frombuffer(data, "<f2").astype(np.float32).reshape(shape)
    if kind == "BF16":
        return from_bf16(np.frombuffer(data, "<u2")).reshape(shape).copy()
    size = TYPES[kind][2]
    return BLOCK[kind][1](np.frombuffer(data, np.uint8).reshape(-1, size)).reshape(shape)


# ---- the container ----

class Writer:
    """Collects metadata and tensors, then writes one file."""

    FORMATS = {"u32": (4, "<I"), "i32": (5, "<i"), "f32": (6, "<f"), "bool": (7, "<?"), "u64": (10, "<Q")}

    def __init__(self):
        self.metadata, self.tensors = [], []

    @staticmethod
    def _string(text):
        raw = text.encode("utf-8")
        return struct.pack("<Q", len(raw)) + raw

    def add(self, key, kind, value):
        """kind: str, u32, i32, f32, bool, u64, or any of them in brackets for an array: [str]."""
        if kind.startswith("["):
            kind = kind[1:-1]
            number = 8 if kind == "str" else self.FORMATS[kind][0]
            body = b"".join(self._scalar(kind, item) for item in value)
            raw = struct.pack("<IIQ", 9, number, len(value)) + body
        else:
            number = 8 if kind == "str" else self.FORMATS[kind][0]
            raw = struct.pack("<I", number) + self._scalar(kind, value)
        self.metadata.append(self._string(key) + raw)

    def _scalar(self, kind, value):
        return self._string(value) if kind == "str" else struct.pack(self.FORMATS[kind][1], value)

    def add_tensor(self, name, array, kind):
        self.tensors.append((name, array.shape, kind, encode(array, kind)))

    def write(self, path):
        head = MAGIC + struct.pack("<IQQ", VERSION, len(self.tensors), len(self.metadata))
        head += b"".join(self.metadata)
        offset = 0
        for name, shape, kind, data in self.tensors:
            dims = tuple(reversed(shape))
            head += self._string(name) + struct.pack("<I", len(dims)) + struct.pack(f"<{len(dims)}Q", *dims)
            head += struct.pack("<IQ", TYPES[kind][0], offset)
            offset += -(-len(data) // ALIGNMENT) * ALIGNMENT
        with open(path, "wb") as out:
            out.write(head + b"\0" * (-len(head) % ALIGNMENT))
            for _, _, _, data in self.tensors:
                out.write(data + b"\0" * (-len(data) % ALIGNMENT))


def scan(path):
    """-> (metadata dict, {name: (type name, shape, the tensor's bytes, mapped)})"""
    raw = np.memmap(path, np.uint8, "r")
    at = 0

    def take(fmt):
        nonlocal at
        values = struct.unpack_from("<" + fmt, raw, at)
        at += struct.calcsize("<" + fmt)
        return values[0] if len(values) == 1 else values

    def string():
        nonlocal at
        size = take("Q")
        text = raw[at:at + size].tobytes().decode("utf-8")
        at += size
        return text

    scalars = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}

    def value(kind):
        if kind == 8:
            return string()
        if kind == 9:
            inner, count = take("IQ")
            return [value(inner) for _ in range(count)]
        return take(scalars[kind])

    if raw[:4].tobytes() != MAGIC:
        raise ValueError(f"{path}: not a GGUF file")
    at = 4
    version, tensor_count, kv_count = take("IQQ")
    if version != VERSION:
        raise ValueError(f"{path}: GGUF version {version}, expected {VERSION}")
    metadata = {}
    for _ in range(kv_count):
        key = string()
        metadata[key] = value(take("I"))
    infos = []
    for _ in range(tensor_count):
        name = string()
        count = take("I")
        dims = [take("Q") for _ in range(count)]
        number, offset = take("IQ")
        infos.append((name, tuple(reversed(dims)), TYPE_NAMES[number], offset))
    start = -(-at // ALIGNMENT) * ALIGNMENT
    tensors = {}
    for name, shape, kind, offset in infos:
        _, per_block, block_bytes = TYPES[kind]
        size = int(np.prod(shape)) // per_block * block_bytes
        tensors[name] = (kind, shape, raw[start + offset:start + offset + size])
    return metadata, tensors


def read(path):
    """-> (metadata dict, {name: (type name, float32 array)})"""
    metadata, entries = scan(path)
    return metadata, {name: (kind, decode(data.tobytes(), kind, shape))
                      for name, (kind, shape, data) in entries.items()}
