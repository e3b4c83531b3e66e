"""scripts/crash: the power fails under recorded calls, again and again, and what each next start makes of what lies on disk is held
against what the callers and callees had sent by then, packet by packet."""

import argparse
import json
import os
import struct
import subprocess
import sys
from collections import Counter

import recordings
import rig

CALLS, ROUNDS, A_SECOND = 200, 10, 50
# What a kill may cost of each side of each recording.
LOST_S = 0.5
PACKET_S = 0.02
# When the kill comes, in seconds after the last call was begun, and how many calls hang up right before it: while all talk, while calls
# are set up (before 0), while recordings are finished. One a round, over and over.
PLAN = ((4, 0), (-1.5, 0), (6.3, 20), (1, 0), (0, 0), (9.1, 60), (-2.7, 5), (2.2, 0), (12, 10), (5.1, 0))
# No event for so long: there is none left.
QUIET_S = 1


class Flaw(Exception):
    """A recording that is not as it should be."""


def story(switch):
    """How often each conversation began, how often it ended, and the cause."""
    begun, ended, causes = Counter(), Counter(), {}
    with switch.asked("/api/v1/events?since=0&types=call.started,call.ended", timeout=QUIET_S) as stream:
        try:
            for line in stream:
                if not line.startswith(b"data:"):
                    continue
                event = json.loads(line[5:])
                if event["type"].endswith("call.started"):
                    begun[event["subject"]] += 1
                else:
                    ended[event["subject"]] += 1
                    causes[event["subject"]] = event["data"]["cause"]
        except TimeoutError:
            pass
    return begun, ended, causes


def told(switch, recorded=()):
    """The causes once every conversation, and each that is recorded, has an end; each is to have one beginning and one end."""

    def whole():
        begun, ended, causes = story(switch)
        return (begun, ended, causes) if begun and set(begun) | set(recorded) <= set(ended) else None

    begun, ended, causes = rig.wait_for("every conversation has an end", 30, whole)
    odd = [conversation for conversation in ended if (begun[conversation], ended[conversation]) != (1, 1)]
    if odd:
        times = f"began {begun[odd[0]]} and ended {ended[odd[0]]} times"
        raise Flaw(f"{len(odd)} conversations have not one beginning and one end, {odd[0]} for one {times}")
    return causes


def opened(switch, row):
    """Both sides of a recording's file, whose header and row have to say how long it is."""
    found = list(switch.recordings.rglob(f"{row['id']}.wav"))
    if len(found) != 1:
        raise Flaw(f"recording {row['id']} has {len(found)} files")
    size = found[0].stat().st_size
    with open(found[0], "rb") as file:
        kind, length = struct.unpack("<4sI", file.read(8))
    if kind != b"RIFF" or length + 8 != size or row["bytes"] != size:
        raise Flaw(f"{found[0].name} has {size} bytes, its header says {length + 8} and its row {row['bytes']}")
    left, right = recordings.sides(found[0])
    if len(left) != len(right) or abs(1000 * len(left) / row["sample_rate"] - row["duration_ms"]) > 1:
        raise Flaw(f"{found[0].name} has {len(left)} and {len(right)} samples, its row says {row['duration_ms']} ms")
    return left, right


def judge(switch, sent, prefix):
    """Rows, and how much of each call is lost in seconds, the worst first. What a callee says before its caller is answered is in no
    recording, and counts as lost."""
    rows = [row for row in switch.items("/api/v1/recordings") if row["customer_number"].startswith(prefix)]
    causes = told(switch, [row["conversation"] for row in rows])
    numbers = Counter(int(row["customer_number"][len(prefix) :]) for row in rows)
    if any(count > 1 for count in numbers.values()):
        raise Flaw(f"calls with more than one recording: {[number for number, count in numbers.items() if count > 1]}")
    losses, heard = [], set()
    for row in rows:
        number = int(row["customer_number"][len(prefix) :])
        left = number in sent["left"]
        if row["state"] != "repaired" and not (left and row["state"] == "finished"):
            raise Flaw(f"recording {row['id']} is in state {row['state']}")
        cause = causes[row["conversation"]]
        if cause != "restart" and not left:
            raise Flaw(f"conversation {row['conversation']} ended by {cause}")
        said, was_heard = (recordings.placed(samples) for samples in opened(switch, row))
        if said[0] not in (None, number):
            raise Flaw(f"call {number} has the voice of call {said[0]}")
        lost = max(sent["callers"][number], 0) - said[1]
        if was_heard[0] is not None:
            if was_heard[0] in heard:
                raise Flaw(f"two recordings have the voice of callee {was_heard[0]}")
            heard.add(was_heard[0])
            lost = max(lost, sent["callees"][was_heard[0]] - was_heard[1])
        losses.append(lost * PACKET_S)
    # Of whom nothing is there, all is lost.
    unheard = [count for callee, count in enumerate(sent["callees"]) if callee not in heard]
    unwritten = [count for number, count in enumerate(sent["callers"]) if number not in numbers]
    losses += [count * PACKET_S for count in unheard + unwritten]
    return len(rows), sorted(losses, reverse=True)


def rounds(tools, binary, calls, count):
    """Rounds that went wrong."""
    bad, site = 0, rig.Site(tools)
    for nth in range(1, count + 1):
        after, leave = PLAN[(nth - 1) % len(PLAN)]
        seconds, prefix = max(calls / A_SECOND + after, 0.5), f"+4930{nth:03}"
        with site.started(binary) as switch:
            sent = tools.load(
                n=calls,
                cps=A_SECOND,
                dest=5001,
                port=switch.sip,
                pid=switch.pid,
                kill=int(1000 * seconds),
                leave=leave,
                **{"from": prefix},
            )
        answered = [packets for packets in sent["callers"] if packets >= 0]
        longest = max(answered, default=0) * PACKET_S
        what = f"round {nth}: {len(answered)} calls of up to {longest:.1f} s, {len(sent['left'])} of them just over"
        with site.started(binary) as switch:
            try:
                rows, losses = judge(switch, sent, prefix)
            except (Flaw, rig.Failed) as flaw:
                print(f"{what}: {flaw}: FAIL", flush=True)
                bad += 1
                continue
        over = sum(lost > LOST_S for lost in losses)
        good = over == 0 and sent["failed"] == 0 and len(answered) > 0
        bad += not good
        what += f", {rows} rows, at most {losses[0]:.2f} s lost"
        what += f", more than {LOST_S} s of {over}" if over else ""
        what += f", {sent['failed']} calls failed" if sent["failed"] else ""
        print(f"{what}: {'PASS' if good else 'FAIL'}", flush=True)
    # What the last start made is what the next one finds.
    with site.started(binary) as switch:
        try:
            told(switch)
        except (Flaw, rig.Failed) as flaw:
            print(f"one more start: {flaw}: FAIL")
            bad += 1
    return bad


def main():
    parser = argparse.ArgumentParser(prog="scripts/crash", description="Kills the switch under recorded calls and judges what is left of them.")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"kills (default {ROUNDS})")
    parser.add_argument("--calls", type=int, default=CALLS, help=f"calls at once (default {CALLS})")
    options = parser.parse_args()
    binary, tools = rig.binary(), rig.Tools()
    try:
        bad = rounds(tools, binary, options.calls, options.rounds)
    except (rig.Failed, OSError, subprocess.SubprocessError) as failed:
        print(f"crash: {failed}", file=sys.stderr)
        return 1
    finally:
        tools.close()
    print(f"{options.rounds - min(bad, options.rounds)} of {options.rounds} rounds PASS, load {os.getloadavg()[0]:.1f} at the end")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
