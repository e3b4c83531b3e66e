#!/usr/bin/env python3
"""Which tone is on which channel of a WAV, by half second: finds crossed, missing and mixed parties where each speaks its own tone.

    scripts/tones.py recordings/2026/11/22/ID.wav 440,1000

prints one row a channel: A for the first tone, B for the second, … `.` for silence, `?` for something else. Channel 0 is left
(what the customer said), channel 1 right (what the customer heard). Needs nothing but Python's standard library.
"""

import array
import math
import sys
import wave

PRESENT_DB = -40.0


def read(path):
    """Samples by channel, from -1 to 1, and the rate. What lies behind a header that counts too little is not read."""
    with wave.open(path, "rb") as wav:
        if wav.getsampwidth() != 2:
            sys.exit(f"{path}: {8 * wav.getsampwidth()} bits a sample; 16 expected")
        samples = array.array("h", wav.readframes(wav.getnframes()))
        if sys.byteorder == "big":
            samples.byteswap()
        count = wav.getnchannels()
        return [[s / 32768 for s in samples[c::count]] for c in range(count)], wav.getframerate()


def strength(samples, hz, rate):
    """Goertzel: magnitude of one frequency."""
    factor = 2 * math.cos(2 * math.pi * hz / rate)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + factor * last - before
    return math.sqrt(max(0.0, before * before + last * last - factor * before * last))


def decibel(amplitude):
    return 20 * math.log10(amplitude) if amplitude > 1e-5 else -100.0


def letters(samples, rate, tones, window):
    windowed = [s * w for s, w in zip(samples, window)]
    n = len(window)
    amplitudes = [2 * strength(windowed, hz, rate) / (n / 2) for hz in tones]
    power = sum(s * s for s in windowed) / (3 * n / 8)
    rest = decibel(math.sqrt(2 * max(0.0, power - sum(a * a / 2 for a in amplitudes))))
    level = decibel(math.sqrt(2 * power))
    heard = "".join(chr(ord("A") + i) for i, a in enumerate(amplitudes) if decibel(a) > PRESENT_DB)
    stranger = "?" if rest > PRESENT_DB and rest > level - 20 else ""
    return heard + stranger or "."


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    channels, rate = read(sys.argv[1])
    tones = [float(tone) for tone in sys.argv[2].split(",")]
    length = rate // 2
    window = [0.5 - 0.5 * math.cos(2 * math.pi * i / (length - 1)) for i in range(length)]
    for number, samples in enumerate(channels):
        row = (letters(samples[at : at + length], rate, tones, window) for at in range(0, len(samples) - length + 1, length))
        print(f"ch{number}:", " ".join(row))


if __name__ == "__main__":
    main()
