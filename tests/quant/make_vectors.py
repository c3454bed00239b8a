#!/usr/bin/env python3
"""Makes ggml_vectors.bin: what ggml's reference functions say about every block format of src/quant.

    make_vectors.py path/to/libggml-base.so > ggml_vectors.bin

The library is that of npm's @node-llama-cpp/linux-x64 (3.22.1 made the committed file), or any build of ggml.
Layout, little-endian, records until the end:
    u32 kind (0: quantise then dequantise, 1: dequantise only), u32 ggml type, u32 n,
    kind 0: f32 input[n];  then u32 bytes, the row;  then f32 output[n]
    kind 3, ggml type 0, n: f32 input[n], then u32 count and as many pairs (u32 ggml type, f64 sum of squared errors of
    ggml's own quantiser, the one that llama-quantize uses without an importance matrix)
Last, a record of kind 2: u64 FNV-1a over the floats of all 65536 F16 codes (NaN as 0x7fc00000 with the sign dropped),
u64 FNV-1a over the F16 codes of the floats with bits 0, 9973, 2 * 9973, ... below 0x7f800000, and of their negatives.
"""
import ctypes
import random
import struct
import sys

lib = ctypes.CDLL(sys.argv[1])
out = sys.stdout.buffer
rng = random.Random(20)
TYPES = {2: ("q4_0", 18), 8: ("q8_0", 34), 39: ("mxfp4", 17)}
AFFINE = {3: ("q4_1", 20), 6: ("q5_0", 22), 7: ("q5_1", 24)}  # quantised bit for bit too
# Read only: weights and bytes of a block, and where its F16 scales are.
SEARCHED = {10: ("q2_K", 256, 84, (80, 82)), 11: ("q3_K", 256, 110, (108,)), 12: ("q4_K", 256, 144, (0, 2)),
            13: ("q5_K", 256, 176, (0, 2)), 14: ("q6_K", 256, 210, (208,)), 20: ("iq4_nl", 32, 18, (0,)),
            23: ("iq4_xs", 256, 136, (0,))}
HALVES = {1: "fp16", 30: "bf16"}
lib.ggml_fp16_to_fp32.restype = ctypes.c_float
lib.ggml_fp16_to_fp32.argtypes = [ctypes.c_uint16]
lib.ggml_fp32_to_fp16.restype = ctypes.c_uint16
lib.ggml_fp32_to_fp16.argtypes = [ctypes.c_float]


def floats(n):
    kinds = [lambda: rng.uniform(-1, 1), lambda: rng.gauss(0, 20), lambda: rng.choice([0, 0.5, -3, 6, 1e-3]),
             lambda: rng.uniform(-1, 1) * 10 ** rng.uniform(-6, 4), lambda: 0.0, lambda: 2.0 ** rng.randint(-8, 8)]
    values = []
    while len(values) < n:
        kind = kinds[len(values) // 32 % len(kinds)]
        values += [kind() for _ in range(32)]
    return (ctypes.c_float * n)(*values[:n])


def dequantise(number, row, n):
    result = (ctypes.c_float * n)()
    known = TYPES | AFFINE | SEARCHED
    if number in known:
        getattr(lib, f"dequantize_row_{known[number][0]}")(row, result, ctypes.c_int64(n))
    else:
        getattr(lib, f"ggml_{HALVES[number]}_to_fp32_row")(row, result, ctypes.c_int64(n))
    return result


def record(kind, number, n, given, row, result):
    out.write(struct.pack("<III", kind, number, n) + bytes(given or b"") + struct.pack("<I", len(row)) + bytes(row)
              + bytes(result))


for number in list(TYPES) + list(HALVES):
    n = 32 * 12
    given = floats(n)
    row_bytes = n // 32 * TYPES[number][1] if number in TYPES else 2 * n
    row = (ctypes.c_uint8 * row_bytes)()
    if number in TYPES:
        getattr(lib, f"quantize_row_{TYPES[number][0]}_ref")(given, row, ctypes.c_int64(n))
    elif number == 1:
        row = (ctypes.c_uint8 * row_bytes)(*b"".join(struct.pack("<H", lib.ggml_fp32_to_fp16(v)) for v in given))
    else:
        lib.ggml_fp32_to_bf16_row_ref(given, row, ctypes.c_int64(n))
    record(0, number, n, given, row, dequantise(number, row, n))

for number, scales in ((39, [bytes([e]) for e in range(255)]),
                       (2, [struct.pack("<H", h) for h in (0, 1, 0x3ff, 0x400, 0x3c00, 0xbc00, 0x7bff, 0x8001)]),
                       (8, [struct.pack("<H", h) for h in (0, 1, 0x3ff, 0x400, 0x3c00, 0xbc00, 0x7bff, 0x8001)])):
    quants = TYPES[number][1] - len(scales[0])
    data = b"".join(s + bytes(rng.randrange(256) for _ in range(quants)) for s in scales)
    row = (ctypes.c_uint8 * len(data))(*data)
    record(1, number, 32 * len(scales), None, row, dequantise(number, row, 32 * len(scales)))

for number, (name, block_bytes) in AFFINE.items():
    n = 32 * 12
    given = floats(n)
    row = (ctypes.c_uint8 * (n // 32 * block_bytes))()
    getattr(lib, f"quantize_row_{name}_ref")(given, row, ctypes.c_int64(n))
    record(0, number, n, given, row, dequantise(number, row, n))

HALF_CODES = (0, 1, 0x3ff, 0x400, 0x3c00, 0xbc00, 0x7bff, 0x8001, 0x2a3b, 0x9c57)
for number in list(AFFINE) + list(SEARCHED):
    name, weights, block_bytes, scales = SEARCHED.get(number) or (*AFFINE[number][:1], 32, AFFINE[number][1],
                                                                  (0,) if number == 6 else (0, 2))
    data = bytearray()
    for code in HALF_CODES:
        block = bytearray(rng.randrange(256) for _ in range(block_bytes))
        for at in scales:
            block[at:at + 2] = struct.pack("<H", code if at == scales[0] else rng.choice(HALF_CODES[4:]) & 0x7dff)
        data += block
    row = (ctypes.c_uint8 * len(data))(*data)
    n = weights * len(HALF_CODES)
    record(1, number, n, None, row, dequantise(number, row, n))

# Weights as they are in models: normal ones, and ones with outliers (Laplace).
for draw in (lambda: rng.gauss(0, 0.02), lambda: rng.choice((-1, 1)) * rng.expovariate(30)):
    n = 256 * 16
    given = (ctypes.c_float * n)(*(draw() for _ in range(n)))
    out.write(struct.pack("<III", 3, 0, n) + bytes(given) + struct.pack("<I", len(SEARCHED)))
    for number, (name, weights, block_bytes, _) in SEARCHED.items():
        row = (ctypes.c_uint8 * (n // weights * block_bytes))()
        getattr(lib, f"quantize_{name}")(given, row, ctypes.c_int64(1), ctypes.c_int64(n), None)
        error = sum((a - b) ** 2 for a, b in zip(given, dequantise(number, row, n)))
        out.write(struct.pack("<Id", number, error))


def fnv(data):
    state = 0xcbf29ce484222325
    for byte in data:
        state = (state ^ byte) * 0x100000001b3 & (1 << 64) - 1
    return state


wide = bytearray()
for code in range(65536):
    value = lib.ggml_fp16_to_fp32(code)
    wide += struct.pack("<I", 0x7fc00000) if value != value else struct.pack("<f", value)
narrow = bytearray()
for bits in range(0, 0x7f800000, 9973):
    value = struct.unpack("<f", struct.pack("<I", bits))[0]
    narrow += struct.pack("<HH", lib.ggml_fp32_to_fp16(value), lib.ggml_fp32_to_fp16(-value))
out.write(struct.pack("<IQQ", 2, fnv(wide), fnv(narrow)))
