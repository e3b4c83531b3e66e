"""Judges recordings of the load tool's calls packet by packet: each packet carries its own number, coded into samples that µ-law keeps."""

import array
import sys
import wave

FRAME = 160
MARK = (0x95, 0x9A, 0x95, 0x9A)


def law(byte):
    """G.711 µ-law to linear, 16 bits."""
    byte = ~byte & 0xFF
    value = (((byte & 15) << 3) + 0x84 << (byte >> 4 & 7)) - 0x84
    return -value if byte & 0x80 else value


NIBBLE = {law(0x90 | nibble): nibble for nibble in range(16)}
MARKED = [law(byte) for byte in MARK]


def number(samples, at, behind=12):
    """The packet's number, which stands 12 samples behind a mark at `at` (that of its call stands 4 behind); `None` where there is no mark."""
    if list(samples[at : at + 4]) != MARKED:
        return None
    value = 0
    for sample in samples[at + behind : at + behind + 8]:
        nibble = NIBBLE.get(sample)
        if nibble is None:
            return None
        value = value << 4 | nibble
    return value


def first_mark(samples, begin=0):
    """Where the next packet begins."""
    return next((i for i in range(begin, len(samples) - FRAME + 1) if samples[i] == MARKED[0] and number(samples, i) is not None), None)


def packets(samples):
    """Where each packet begins that is whole, its number and its call's."""
    at = first_mark(samples)
    while at is not None:
        yield at, number(samples, at), number(samples, at, 4)
        at += FRAME
        if at + FRAME > len(samples):
            return
        if number(samples, at) is None:
            at = first_mark(samples, at)


def placed(samples):
    """The number of the call that is heard, and how many of its packets; `None` and 0 where nothing is heard."""
    heard = [(nth, call) for _, nth, call in packets(samples)]
    if not heard:
        return None, 0
    call = heard[0][1]
    return call, len({nth for nth, of in heard if of == call})


def side(samples, seconds):
    """The numbers of the packets that are missing between the first and the last, how many there are too few behind the last, and how often
    one stands elsewhere than the one before it says: a load that falls behind by more than 60 ms is followed, since a recording goes by the
    clock."""
    missing, moved, before, first = [], 0, None, None
    heard = list(packets(samples))
    whose = next((call for (_, nth, call), (_, after, same) in zip(heard, heard[1:]) if (after, same) == (nth + 1, call)), None)
    for (at, nth, call), follows in zip(heard, heard[1:] + [(None, None, None)]):
        stands = before is not None and at - before[0] == FRAME * (nth - before[1]) > 0
        if call != whose or not (stands or follows[:2] == (at + FRAME, nth + 1)):
            continue  # concealment writes something like the packets before it, numbers and all
        if before is None:
            first = nth
        else:
            missing.extend(range(before[1] + 1, nth))
            moved += not stands
        before = at, nth
    if before is None:
        return [], seconds * 50, 0
    return missing, max(0, seconds * 50 - (before[1] - first) - 1), moved


def sides(path):
    """The samples of left and right."""
    with wave.open(str(path)) as audio:
        samples = array.array("h", audio.readframes(audio.getnframes()))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples[0::2], samples[1::2]


def judge(folder, seconds):
    """What lies in the folder: `files`, the `whole` among them (every packet on both sides), how many packets are `missing` within a side and
    how many sides' ends are `short` by how many, how often a side was `moved` to keep to the clock, and `where` the first gaps are."""
    found = {"files": 0, "whole": 0, "missing": 0, "short": 0, "moved": 0, "where": []}
    for path in sorted(folder.rglob("*.wav")):
        both = [side(samples, seconds) for samples in sides(path)]
        found["files"] += 1
        found["whole"] += not any(gaps or short for gaps, short, _ in both)
        for name, (gaps, short, moved) in zip(("left", "right"), both):
            found["missing"] += len(gaps)
            found["short"] += short
            found["moved"] += moved
            if (gaps or short) and len(found["where"]) < 20:
                found["where"].append(f"{path.name}, {name}: {gaps[:12]}, {short} at the end")
    return found


if __name__ == "__main__":
    sys.exit("this is a part of scripts/bench")
