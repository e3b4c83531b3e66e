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


def first_mark(samples):
    """Where the first packet begins."""
    return next((i for i in range(len(samples) - FRAME) if samples[i] == MARKED[0] and number(samples, i) is not None), None)


def placed(samples):
    """The number of the call that is heard, and how many of its packets stand where the first one says that they belong; `None` and 0
    where nothing is heard."""
    begin = first_mark(samples)
    if begin is None:
        return None, 0
    first, call = number(samples, begin), number(samples, begin, 4)
    whole = range(begin, len(samples) - FRAME + 1, FRAME)
    there = sum(number(samples, at) == first + nth and number(samples, at, 4) == call for nth, at in enumerate(whole))
    return call, there


def side(samples, seconds):
    """How many packets are missing between the first and the last, or stand elsewhere than their number says."""
    begin = first_mark(samples)
    if begin is None:
        return seconds * 50
    first, missing, last = number(samples, begin), 0, begin
    for nth, at in enumerate(range(begin, len(samples) - FRAME, FRAME)):
        if number(samples, at) == first + nth:
            last = nth
        else:
            missing += 1
    # Behind the last packet nothing was sent.
    missing -= (len(samples) - FRAME - begin - 1) // FRAME - last
    return missing + max(0, seconds * 50 - last - 1)


def sides(path):
    """The samples of left and right."""
    with wave.open(str(path)) as audio:
        samples = array.array("h", audio.readframes(audio.getnframes()))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples[0::2], samples[1::2]


def judge(folder, seconds):
    """Files, those in which both sides are whole, and packets that are missing or out of place."""
    files, whole, lost = 0, 0, 0
    for path in sorted(folder.rglob("*.wav")):
        missing = [side(samples, seconds) for samples in sides(path)]
        files, whole, lost = files + 1, whole + (missing == [0, 0]), lost + sum(missing)
    return files, whole, lost


if __name__ == "__main__":
    sys.exit("this is a part of scripts/bench")
