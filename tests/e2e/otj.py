"""Segments of a journal as they lie on disk, read from the description in core/pool/journal/journal.h."""
import os
import struct

HEADER, FRAME = 48, 20


def segments(folder):
    return sorted(os.path.join(folder, f) for f in os.listdir(folder) if f.endswith(".otj"))


def frames(path):
    """[(offset, bytes, sequence, type, group)], and where they end."""
    with open(path, "rb") as f:
        data = f.read()
    found, at = [], HEADER
    while at + FRAME <= len(data):
        length, _, sequence, kind, group = struct.unpack_from("<IIQHH", data, at)
        if length == 0:
            break
        found.append((at, FRAME + length - 1, sequence, kind, group & 0x7FFF))
        at += FRAME + length - 1
    return found, at


def patch(path, offset, data):
    with open(path, "r+b") as f:
        f.seek(offset)
        f.write(data)
