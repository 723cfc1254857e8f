"""From the start of the process to its asking for the first event, and the memory that it holds then."""
from lab import Lab, say
from results import DOCKET, PLAIN, POWERTOOLS, THREADS, Result

VARIANTS = (DOCKET, PLAIN, POWERTOOLS, THREADS)
FASTER, MEGABYTES = 40, 10
# A second for all of them: what else the machine does weighs on so short a time.
REPEATS = 15


def once(lab: Lab, variant: str) -> dict[str, float]:
    lab.forget()
    with lab.start(variant) as environment:
        time_ms = environment.ready() / 1e6
        memory = environment.memory()
    return {"time": time_ms, "memory": memory["VmRSS"], "peak memory": memory["VmHWM"], "own memory": memory["RssAnon"]}


def run(lab: Lab, repeats: int) -> Result:
    result = lab.result("start", "Start: from exec to the first event asked for", "ms")
    for repeat in range(-1, repeats):
        for variant in VARIANTS:
            found = once(lab, variant)
            if repeat < 0:
                continue  # Files and bytecode are in memory from now on, for all alike.
            for quantity, value in found.items():
                result.add(variant, "", quantity, value, "ms" if quantity == "time" else "MB")
            say(f"start {repeat + 1}/{repeats} {variant}: {found['time']:.1f} ms, {found['memory']:.1f} MB")
    own = result.values(DOCKET, "", "time")
    for peer in (PLAIN, POWERTOOLS, THREADS):
        result.ratio(f"start: {peer} ÷ docket", result.values(peer, "", "time"), own)
        result.ratio(f"memory: {peer} ÷ docket", result.values(peer, "", "memory"), result.values(DOCKET, "", "memory"))
    # Of Powertools' two ways the one that starts faster counts.
    quick = min((POWERTOOLS, THREADS), key=lambda peer: result.median(peer, "", "time"))
    faster = next(ratio.value for ratio in result.ratios if ratio.name == f"start: {quick} ÷ docket")
    held = result.median(DOCKET, "", "memory")
    # Where Docket's median reaches the bar just when the ratio of the repeats does.
    goal = result.median(DOCKET, "", "time") * faster / FASTER
    result.bar(f"≥ {FASTER}× faster than Powertools", faster, faster >= FASTER, goal, "time")
    result.bar(f"≤ {MEGABYTES} MB resident when ready", held, held <= MEGABYTES, MEGABYTES, "memory")
    result.note(
        "Wall time, from before the fork in the bench to the Runtime API's first /next; memory is VmRSS then,"
        " in 10^6 bytes."
    )
    result.note(
        "Memory counts the pages of files that are mapped, a binary's own among them; `own memory` is "
        "RssAnon, without them."
    )
    result.note(
        "One start of each is discarded, so that binaries, packages and bytecode are in the page cache for "
        "all."
    )
    return result
