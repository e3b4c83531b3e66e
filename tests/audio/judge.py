"""PESQ (ITU-T P.862; P.862.2 at 16 kHz) of pairs of files: a line `rate <tab> said <tab> heard` each, raw 16-bit samples; a score a line."""

import sys
from concurrent.futures import ProcessPoolExecutor

import numpy
from pesq import pesq


def score(line):
    rate, said, heard = line.rstrip("\n").split("\t")
    said, heard = (numpy.fromfile(path, "<i2") for path in (said, heard))
    return pesq(int(rate), said, heard, "wb" if rate == "16000" else "nb")


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        for result in pool.map(score, sys.stdin):
            print(result)
