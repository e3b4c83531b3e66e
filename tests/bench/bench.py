"""The measurements of scripts/bench. Speeds are ratios to a floor that is measured beside them in the same run, since a shared
machine's absolute figures move by a factor of two; every figure is printed all the same.

The goals are those of the project's milestones."""

import argparse
import os
import subprocess
import sys
import time

import phones
import recordings
import rig
import rtpengine

RELAYED_TO_FLOOR = 1.5
DELAY_TO_FLOOR = 1.5
RELAYED_TO_RIVAL = 1.0
RECORDED_TO_FLOOR = 2.5
PROMPTS_TO_FLOOR = 1.2
SRTP_TO_FLOOR = 2.0
MANY = 400
CPU_MS_A_CALL = 0.7
CPU_MS_A_REGISTRATION = 0.1
KB_A_PHONE = 4.0
REFRESHING_SHARE = 5.0
# What the goal was set beside: the floor took this share of a core for 100 calls on the machine of the goal, when it was quiet. A busy
# neighbour or a slower machine moves floor and call alike, so what is judged is the figure brought to that floor.
QUIET_FLOOR = 0.019
ADDED_SETUP_P99_MS = 5.0
KB_A_RELAYED_CALL = 48.0
KB_A_RECORDED_CALL = 96.0
MEMORY_GROWTH = 1.10
LINGER_S = 45


class Table:
    """Rows of name, figure, ratio, goal; printed together at the end, and on stderr as they come: an hour's run may be broken off."""

    def __init__(self):
        self.rows, self.missed, self.undone = [], 0, 0

    def add(self, what, figure, measured=None, goal=None, unit=""):
        verdict = ""
        if goal is not None:
            verdict = "PASS" if measured <= goal else "FAIL"
            self.missed += verdict == "FAIL"
        ratio = "" if measured is None else f"{measured:.2f}{unit}"
        limit = "" if goal is None else f"≤ {goal:g}{unit}"
        self.rows.append((what, figure, ratio, limit, verdict))
        say("  ".join(part for part in self.rows[-1] if part))

    def fail(self, what, why):
        self.undone += 1
        self.rows.append((what, f"not measured: {why}".splitlines()[0][:90], "", "", ""))
        print(f"bench: {what}: {why}", file=sys.stderr)

    def show(self):
        head = ("what", "figure", "ratio", "goal", "")
        rows = [head, *self.rows]
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        for index, row in enumerate(rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
            if index == 0:
                print("  ".join("-" * width for width in widths))


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def share(figures, calls):
    per_100 = 100 * figures["cpu_share"] * 100 / calls
    delay = f"delay p50 {figures['delay_p50_us']} µs, p99 {figures['delay_p99_us']} µs"
    return f"{per_100:.2f} % of a core for 100 calls, {delay}, lost {100 * figures['loss']:.3f} %"


def with_floor(tools, calls, seconds, name, measure, **load):
    """Floor, measurements, floor again: the mean of the two floors, then what was measured, by name."""

    def floor():
        with rig.floor(tools, calls) as where:
            return tools.medload(calls, seconds, **where, **load)

    say(f"{name}, with the floor before and after ({calls} calls, {seconds} s each)")
    before = floor()
    measured = {what: one(calls, seconds) for what, one in measure.items()}
    after = floor()
    both = {key: (before[key] + after[key]) / 2 for key in ("cpu_share", "delay_p50_us", "delay_p99_us", "loss", "machine_busy")}
    return both, measured


def beside_the_floor(table, tools, options, name, measure, goal, **load):
    """One row of ratio beside the floor's."""
    floor, measured = with_floor(tools, options.calls, options.seconds, name, {name: measure}, **load)
    figures = measured[name]
    table.add(f"floor beside it ({name})", share(floor, options.calls))
    table.add(name, share(figures, options.calls), figures["cpu_share"] / floor["cpu_share"], goal, " × floor")


def through(tools, options, dest, way="auto", **more):
    """Calls through the switch, to a number of the bench configuration."""

    def measure(calls, hold):
        with rig.switch(tools, options.binary, io=way) as switch:
            return tools.medload(calls, hold, dest=dest, port=switch.sip, pid=switch.pid, cps=50, **more)

    return measure


def relay(table, tools, options):
    def engine(calls, hold):
        with rtpengine.relaying(tools, calls) as where:
            return tools.medload(calls, hold, **where)

    ours, theirs = "cordboard, relayed", f"rtpengine {rig.version('rtpengine')}, user space, relayed"
    for calls in (options.calls, MANY):
        floor, measured = with_floor(tools, calls, options.seconds, "relayed calls", {ours: through(tools, options, 5000), theirs: engine})
        one, other = measured[ours], measured[theirs]
        table.add(f"floor, {calls} calls", share(floor, calls))
        table.add(f"{ours}, {calls} calls", share(one, calls), one["cpu_share"] / floor["cpu_share"], RELAYED_TO_FLOOR, " × floor")
        delay = f"{one['delay_p99_us']} µs, the floor {floor['delay_p99_us']:.0f} µs"
        table.add("  its delay, p99", delay, one["delay_p99_us"] / floor["delay_p99_us"], DELAY_TO_FLOOR, " × floor")
        table.add("  beside rtpengine", "", one["cpu_share"] / other["cpu_share"], RELAYED_TO_RIVAL, " × rtpengine")
        table.add(f"{theirs}, {calls} calls", share(other, calls), other["cpu_share"] / floor["cpu_share"], None, " × floor")


def io(table, tools, options):
    """Both ways of reading and writing, beside the floor in one run; and how busy the whole machine is, for what a way spares the switch
    may be paid by who sends."""

    def figure(figures, calls):
        return f"{share(figures, calls)}, the machine {100 * figures['machine_busy']:.0f} % busy"

    for calls in (options.calls, MANY):
        ways = {f"cordboard by {way}, {calls} calls": through(tools, options, 5000, way) for way in ("epoll", "io_uring")}
        floor, measured = with_floor(tools, calls, options.seconds, "epoll and io_uring", ways)
        table.add(f"floor beside them, {calls} calls", figure(floor, calls))
        for name, figures in measured.items():
            table.add(name, figure(figures, calls), figures["cpu_share"] / floor["cpu_share"], None, " × floor")


def record(table, tools, options):
    beside_the_floor(table, tools, options, "cordboard, recorded", through(tools, options, 5001), RECORDED_TO_FLOOR)


def prompts(table, tools, options):
    """Callers in a menu: half of the floor's packets come from the switch itself."""
    beside_the_floor(table, tools, options, "cordboard, a prompt each", through(tools, options, 5002, mode="ivr"), PROMPTS_TO_FLOOR)


def encrypted(table, tools, options):
    name = "cordboard, relayed with SDES-SRTP on both sides"
    beside_the_floor(table, tools, options, name, through(tools, options, 5003, srtp=1, uas=rig.SECURE), SRTP_TO_FLOOR, srtp=1)


THOUSAND, TWO_MINUTES = 1000, 120


def thousand(table, tools, options):
    """A thousand recorded calls for two minutes, and then every file: each packet that was sent is in it, where it belongs."""
    light = {"lazy": 1, "sink": 1, "senders": 2}

    def cpu(figures):
        return f"{100 * figures['cpu_share'] * 100 / options.recorded:.2f} % of a core for 100 calls"

    with rig.floor(tools, options.recorded) as where:
        say(f"the floor alone with {options.recorded} calls: what this machine could do at best")
        figures = tools.medload(options.recorded, options.seconds, **where, **light)
        lost = figures["sent"] - figures["received"]
        table.add(f"floor, {options.recorded} calls", f"{cpu(figures)}, lost {lost} of {figures['sent']}")
    with rig.switch(tools, options.binary) as switch:
        say(f"{options.recorded} recorded calls for {TWO_MINUTES} s (4 GB of disk)")
        overflown = rig.receive_overflows()
        figures = tools.medload(options.recorded, TWO_MINUTES, dest=5001, port=switch.sip, pid=switch.pid, cps=50, **light)
        overflown = rig.receive_overflows() - overflown
        busy = f"the machine was busy for {100 * figures['machine_busy']:.1f} % of the time"
        due = 2 * 50 * options.recorded * TWO_MINUTES
        table.add(f"cordboard, {options.recorded} recorded calls", f"{cpu(figures)}; {busy}; the load sent {figures['sent']} packets, {due} were due")
        not_sent, dropped = switch.metric("media_datagrams_not_sent_total"), switch.metric("media_frames_not_recorded_total")
        lost = figures["sent"] - figures["received"] - figures["early"]
        seen = f"{lost} of {figures['sent']} packets lost on the way, {figures['socket_drops']} of them in the load's own sockets"
        seen += f", {overflown} in sockets that were not read in time (the kernel's count)"
        seen += f"; before them {figures['early']} that came before their call was answered"
        table.add("  packets that the switch lost", seen, lost - figures["socket_drops"] + not_sent + dropped, 0, " packets")
        say("its recordings, packet by packet")
        switch.wait_until_written(options.recorded)
        found = recordings.judge(switch.recordings, TWO_MINUTES)
        for where in found["where"]:
            say(f"a flaw in {where}")
        figure = f"{found['whole']} of {found['files']} files have every packet on both sides, {found['missing']} packets are missing"
        figure += f" within a side, {found['short']} at the ends; {found['moved']} moves to keep to the clock"
        figure += f"; by their own account {switch.lost_ms()} ms are lost, {dropped} frames found no room"
        flaws = found["files"] - found["whole"] + abs(found["files"] - options.recorded)
        table.add("  recordings with a flaw", figure, flaws, 0, " files")


def calls(table, tools, options):
    def floor():
        with rig.floor(tools, 100) as where:
            return tools.medload(100, 8, **where)["cpu_share"]

    with rig.switch(tools, options.binary) as switch:
        say("1,000 short calls at 50 a second, with the floor before and after")
        tools.short_calls(switch.pid, switch.sip, "5000", 50, 100)  # what is allocated once is not a call's cost
        before, figures, after = floor(), tools.short_calls(switch.pid, switch.sip, "5000", 50, 1000), floor()
        share = (before + after) / 2
        figure = f"{figures['cpu_ms']:.2f} ms here, {figures['retransmissions']} retransmissions"
        figure += f"; the floor takes {100 * share:.1f} % for 100 calls, {100 * QUIET_FLOOR} % where the goal was set"
        table.add("CPU a call set up and ended", figure, figures["cpu_ms"] * QUIET_FLOOR / share, CPU_MS_A_CALL, " ms at that floor")

        say("set-up time, directly and through the switch")
        direct = tools.medload(500, 1, sw=rig.CALLEE, port=rig.SIP_PORT, cps=50, mute_a=1, mute_b=1)
        through = tools.medload(500, 1, dest=5000, port=switch.sip, cps=50, mute_a=1, mute_b=1)
        added = (through["setup_p99_us"] - direct["setup_p50_us"]) / 1000
        figure = f"p50 {through['setup_p50_us'] / 1000:.2f} ms, p99 {through['setup_p99_us'] / 1000:.2f} ms"
        figure += f"; directly p50 {direct['setup_p50_us'] / 1000:.2f} ms"
        table.add("set-up time added, p99", figure, added, ADDED_SETUP_P99_MS, " ms")


def memory(table, tools, options):
    for what, dest, goal in (("relayed", 5000, KB_A_RELAYED_CALL), ("recorded", 5001, KB_A_RECORDED_CALL)):
        with rig.switch(tools, options.binary) as switch:
            say(f"memory of live {what} calls")
            tools.medload(20, 2, dest=dest, port=switch.sip, pid=switch.pid, cps=20)
            figures = tools.medload(options.calls, 10, dest=dest, port=switch.sip, pid=switch.pid, cps=50)
            each = (figures["rss_window_kb"] - figures["rss_before_kb"]) / options.calls
            figure = f"{figures['rss_before_kb']} KB before, {figures['rss_window_kb']} KB with {options.calls}"
            table.add(f"memory a live {what} call", figure, each, goal, " KB")
    with rig.switch(tools, options.binary) as switch:
        say("memory after 1,000 and 10,000 short calls (four minutes)")

        def after(calls):
            tools.short_calls(switch.pid, switch.sip, "5000", 100, calls)
            at_once = rig.rss_kb(switch.pid)
            # Over UDP a transaction lingers for 32 s (RFC 3261, timers H and J): what a call costs is gone after that.
            time.sleep(LINGER_S)
            return at_once, rig.rss_kb(switch.pid)

        start = rig.settled(lambda: rig.rss_kb(switch.pid))
        (busy, first), (busiest, last) = after(1000), after(9000)
        figure = f"{start} KB at start, {first} KB {LINGER_S} s after 1,000 ({busy} at once), {last} KB after 10,000 ({busiest} at once)"
        table.add("memory after 10,000 short calls", figure, last / first, MEMORY_GROWTH, " × after 1,000")


UDP_PHONES, TLS_PHONES = 10_000, 1_000
REFRESHING_S = 60


def registrar(table, tools, options):
    """What phones cost that register and refresh, in the switch and in Kamailio, each with the floor before and after."""
    phones.descriptors(UDP_PHONES + TLS_PHONES + 500)

    def floor():
        with rig.floor(tools, 100) as where:
            return tools.medload(100, 8, **where)["cpu_share"]

    def measured(name, udp, tls, family, goals):
        before = floor()
        fleet = phones.Phones()
        try:
            say(f"{name}: {UDP_PHONES} phones register over UDP, {TLS_PHONES} over TLS")
            fleet.register(fleet.add(200, udp), 200)  # what is allocated once is not a phone's cost
            time.sleep(LINGER_S)
            start, spent = family.kb(), family.cpu_ms()
            fleet.register(fleet.add(1000, udp), 200)
            each = (rig.settled(family.cpu_ms) - spent) / 1000
            fleet.register(fleet.add(UDP_PHONES - 1200, udp), 400)
            time.sleep(LINGER_S)
            with_udp = family.kb()
            fleet.register(fleet.add(TLS_PHONES, tls, phones.trusting_anybody()), 100)
            time.sleep(LINGER_S)
            with_tls = family.kb()
            say(f"{name}: they refresh every {phones.EXPIRES_S} s, for {REFRESHING_S} s")
            count = len(fleet.all) * REFRESHING_S // phones.EXPIRES_S
            step = len(fleet.all) / count
            some = [fleet.all[int(nth * step)] for nth in range(count)]
            spent = family.cpu_ms()
            took = fleet.register(some, count / REFRESHING_S)
            share = 100 * (rig.settled(family.cpu_ms) - spent) / (1000 * took)
            retransmissions = fleet.retransmissions
        finally:
            fleet.close()
        slow = (before + floor()) / 2 / QUIET_FLOOR
        at_floor = f"the floor takes {slow:.2f} times what it took where the goal was set"
        figure = f"{each:.3f} ms here, {retransmissions} retransmissions; {at_floor}"
        table.add(f"CPU a registration, {name}", figure, each / slow, CPU_MS_A_REGISTRATION if goals else None, " ms at that floor")
        figure = f"{start} KB with 200, {with_udp} KB with {UDP_PHONES}"
        table.add(f"memory a phone, {name}", figure, (with_udp - start) / (UDP_PHONES - 200), KB_A_PHONE if goals else None, " KB")
        figure = f"{with_tls} KB with {TLS_PHONES} more over TLS"
        table.add(f"memory a phone over TLS, {name}", figure, (with_tls - with_udp) / TLS_PHONES, None, " KB")
        figure = f"{share:.2f} % of a core here for {UDP_PHONES} and {TLS_PHONES} over TLS, every {phones.EXPIRES_S} s"
        table.add(f"phones that refresh, {name}", figure, share / slow, REFRESHING_SHARE if goals else None, " % at that floor")

    with rig.switch(tools, options.binary, phones.configuration(UDP_PHONES + TLS_PHONES), secure=True) as switch:
        measured("cordboard", ("127.0.0.1", switch.sip), ("127.0.0.1", switch.tls), phones.Family(switch.pid), True)
    with phones.kamailio(tools) as (udp, tls, family):
        measured(f"Kamailio {rig.version('kamailio')} in memory", udp, tls, family, False)


def cargo_bench(table, name, *parts):
    """A cargo bench, which prints rows of its own: what, figure, and where it has a goal a ratio, the goal and their unit."""
    command = ["cargo", "bench", "--locked", "--quiet", "--bench", name, "--", *parts]
    done = subprocess.run(command, cwd=rig.TOP, capture_output=True, text=True)
    if done.returncode != 0:
        table.fail(f"cargo bench {name}", done.stderr.strip()[-500:] or f"exit code {done.returncode}")
        return
    for line in done.stdout.splitlines():
        what, figure, *judged = line.split("\t")
        if judged:
            ratio, goal, unit = judged
            table.add(what, figure, float(ratio), float(goal), unit)
        else:
            table.add(what, figure)


def core(table, _tools, _options):
    """The core alone, without sockets."""
    cargo_bench(table, "core")


def codecs(table, _tools, _options):
    """What decoding and encoding cost, alone and in a call."""
    cargo_bench(table, "codecs")


def browser(table, _tools, _options):
    """Packets between browsers, decrypted and encrypted, beside the bare crate."""
    cargo_bench(table, "browser")


def events(table, _tools, _options):
    """2,000 events a second to 50 readers, one of which never reads, and one comes and goes."""
    cargo_bench(table, "events", "events")


def wallboard(table, _tools, _options):
    """A wallboard of 100 agents that ten look at."""
    cargo_bench(table, "events", "wallboard")


SECTIONS = [relay, io, record, prompts, encrypted, browser, thousand, calls, memory, registrar, core, codecs, events, wallboard]
NAMES = {section.__name__: section for section in SECTIONS}
ALONE = (browser, core, codecs, events, wallboard)


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures Cordboard beside a plain forwarder, rtpengine and Kamailio.")
    parser.add_argument("section", nargs="*", help=f"{', '.join(NAMES)}; all of them without one")
    parser.add_argument("--calls", type=int, default=100, help="calls at once in the media measurements (default 100)")
    parser.add_argument("--seconds", type=int, default=15, help="length of their steady window (default 15)")
    parser.add_argument("--recorded", type=int, default=THOUSAND, help=f"calls of the section thousand (default {THOUSAND})")
    options = parser.parse_args()
    unknown = [name for name in options.section if name not in NAMES]
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(NAMES)}")
    wanted = [NAMES[name] for name in dict.fromkeys(options.section)] or SECTIONS

    options.binary = rig.binary() if any(part not in ALONE for part in wanted) else None
    table, tools = Table(), rig.Tools()
    try:
        for part in wanted:
            try:
                part(table, tools, options)
            except (rig.Failed, OSError, subprocess.SubprocessError) as failed:
                table.fail(part.__name__, failed)
    finally:
        tools.close()
    load = os.getloadavg()[0]
    print(f"\nOne run on {os.cpu_count()} processors, load {load:.1f} at its end; compare ratios, not figures.\n")
    table.show()
    return 1 if table.missed or table.undone else 0


if __name__ == "__main__":
    sys.exit(main())
