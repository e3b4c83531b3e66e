"""The measurements of scripts/bench. Speeds are ratios to a floor that is measured beside them in the same run, since a shared
machine's absolute figures move by a factor of two; every figure is printed all the same.

The goals are those of the project's milestones."""

import argparse
import os
import subprocess
import sys
import time
import tomllib

import phones
import rig
import rtpengine

RELAYED_TO_FLOOR = 2.0
RECORDED_TO_FLOOR = 3.0
CPU_MS_A_CALL = 0.7
CPU_MS_A_REGISTRATION = 0.1
KB_A_PHONE = 4.0
REFRESHING_SHARE = 5.0
# What the goal was set beside: the floor took this share of a core for 100 calls on the machine of the goal, when it was quiet. A busy
# neighbour or a slower machine moves floor and call alike, so what is judged is the figure brought to that floor.
QUIET_FLOOR = 0.019
ADDED_SETUP_P99_MS = 5.0
KB_A_RECORDED_CALL = 100.0
MEMORY_GROWTH = 1.10
LINGER_S = 45


class Table:
    """Rows of name, figure, ratio, goal; printed once, at the end. Everything said on the way goes to stderr."""

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


def beside_the_floor(table, tools, options, name, measure, goal):
    """Floor, measurement, floor again: the ratio is to the mean of the two floors."""
    calls, hold = options.calls, options.seconds

    def floor():
        with rig.floor(tools, calls) as where:
            return tools.medload(calls, hold, **where)

    try:
        say(f"{name}, with the floor before and after ({calls} calls, {hold} s each)")
        before, figures, after = floor(), measure(calls, hold), floor()
    except (rig.Failed, OSError, subprocess.SubprocessError) as failed:
        table.fail(name, failed)
        return
    mean = (before["cpu_share"] + after["cpu_share"]) / 2
    table.add(f"floor beside it ({name})", f"{share(before, calls)}; after it {10000 * after['cpu_share'] / calls:.2f} %")
    table.add(name, share(figures, calls), figures["cpu_share"] / mean, goal, " × floor")


def relay(table, tools, options):
    def cordboard(calls, hold):
        with rig.switch(tools, options.binary) as switch:
            return tools.medload(calls, hold, dest=5000, port=switch.sip, pid=switch.pid, cps=50)

    beside_the_floor(table, tools, options, "cordboard, relayed", cordboard, RELAYED_TO_FLOOR)


def record(table, tools, options):
    def cordboard(calls, hold):
        with rig.switch(tools, options.binary) as switch:
            return tools.medload(calls, hold, dest=5001, port=switch.sip, pid=switch.pid, cps=50)

    beside_the_floor(table, tools, options, "cordboard, recorded", cordboard, RECORDED_TO_FLOOR)


def rival(table, tools, options):
    def engine(calls, hold):
        with rtpengine.relaying(tools, calls) as where:
            return tools.medload(calls, hold, **where)

    name = f"rtpengine {rig.version('rtpengine')}, user space, relayed"
    beside_the_floor(table, tools, options, name, engine, None)


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
    with rig.switch(tools, options.binary) as switch:
        say("memory of live recorded calls")
        tools.medload(20, 2, dest=5001, port=switch.sip, pid=switch.pid, cps=20)
        figures = tools.medload(options.calls, 10, dest=5001, port=switch.sip, pid=switch.pid, cps=50)
        each = (figures["rss_window_kb"] - figures["rss_before_kb"]) / options.calls
        figure = f"{figures['rss_before_kb']} KB before, {figures['rss_window_kb']} KB with {options.calls}"
        table.add("memory a live recorded call", figure, each, KB_A_RECORDED_CALL, " KB")
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


def core(table, _tools, _options):
    """The core alone, without sockets: a cargo bench of that name, which prints rows of its own."""
    manifest = tomllib.loads((rig.TOP / "Cargo.toml").read_text())
    if not any(bench.get("name") == "core" for bench in manifest.get("bench", [])):
        table.fail("the core alone", "Cargo.toml has no [[bench]] named core")
        return
    done = subprocess.run(["cargo", "bench", "--locked", "--quiet", "--bench", "core"], cwd=rig.TOP, capture_output=True, text=True)
    if done.returncode != 0:
        table.fail("the core alone", done.stderr.strip()[-500:] or f"exit code {done.returncode}")
        return
    for line in done.stdout.splitlines():
        what, _, figure = line.partition("\t")
        table.add(what, figure)


SECTIONS = {"relay": [relay, rival], "record": [record], "rival": [rival], "calls": [calls], "memory": [memory],
            "registrar": [registrar], "core": [core]}
ALL = [relay, record, rival, calls, memory, registrar, core]


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures Cordboard beside a plain forwarder, rtpengine and Kamailio.")
    parser.add_argument("section", nargs="*", help=f"{', '.join(SECTIONS)}; all of them without one")
    parser.add_argument("--calls", type=int, default=100, help="calls at once in the media measurements (default 100)")
    parser.add_argument("--seconds", type=int, default=15, help="length of their steady window (default 15)")
    options = parser.parse_args()
    unknown = [name for name in options.section if name not in SECTIONS]
    if unknown:
        parser.error(f"no section {', '.join(unknown)}; there are {', '.join(SECTIONS)}")
    wanted = list(dict.fromkeys(part for name in options.section for part in SECTIONS[name])) or ALL

    needs_switch = any(part in wanted for part in (relay, record, calls, memory, registrar))
    options.binary = rig.binary() if needs_switch else None
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
