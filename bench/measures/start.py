"""From the start of the process to its first event request, and the memory at that time."""
from lab import Lab, print_status
from results import DOCKET, PLAIN, POWERTOOLS, THREADS, Result

VARIANTS = (DOCKET, PLAIN, POWERTOOLS, THREADS)
MIN_RATIO, MAX_MEGABYTES = 40, 10
# More repeats than for most measures, because other work of the machine affects so short a time.
REPEATS = 15


def measure_once(lab: Lab, variant: str) -> dict[str, float]:
    lab.reset()
    with lab.start(variant) as environment:
        time_ms = environment.wait_until_ready() / 1e6
        memory = environment.read_memory()
    return {"time": time_ms, "memory": memory["VmRSS"], "peak memory": memory["VmHWM"], "own memory": memory["RssAnon"]}


def run(lab: Lab, repeats: int) -> Result:
    result = lab.begin_result("start", "Start: from exec to the first event request", "ms")
    for repeat in range(-1, repeats):
        for variant in VARIANTS:
            found = measure_once(lab, variant)
            if repeat < 0:
                continue  # The first run only fills the page cache, for all variants.
            for quantity, value in found.items():
                result.add(variant, "", quantity, value, "ms" if quantity == "time" else "MB")
            print_status(f"start {repeat + 1}/{repeats} {variant}: {found['time']:.1f} ms, {found['memory']:.1f} MB")
    own = result.values(DOCKET, "", "time")
    for peer in (PLAIN, POWERTOOLS, THREADS):
        result.add_ratio(f"start: {peer} ÷ docket", result.values(peer, "", "time"), own)
        result.add_ratio(f"memory: {peer} ÷ docket", result.values(peer, "", "memory"), result.values(DOCKET, "", "memory"))
    # The bar compares with the faster one of Powertools' two variants.
    quick = min((POWERTOOLS, THREADS), key=lambda peer: result.median(peer, "", "time"))
    faster = next(ratio.value for ratio in result.ratios if ratio.name == f"start: {quick} ÷ docket")
    resident = result.median(DOCKET, "", "memory")
    # Docket's median reaches this goal exactly when the median of the ratios reaches the bar.
    goal = result.median(DOCKET, "", "time") * faster / MIN_RATIO
    result.add_bar(f"≥ {MIN_RATIO}× faster than Powertools", faster, faster >= MIN_RATIO, goal, "time")
    result.add_bar(f"≤ {MAX_MEGABYTES} MB resident when ready", resident, resident <= MAX_MEGABYTES, MAX_MEGABYTES, "memory")
    result.add_note(
        "Wall time from before the fork in the benchmark to the first request for /next of the Runtime API. Memory is VmRSS "
        "at that time, in MB of 10^6 bytes."
    )
    result.add_note(
        "Memory includes mapped pages of files, such as the binary. The quantity `own memory` in the results is RssAnon, "
        "without those pages."
    )
    result.add_note(
        "The first start of each variant is discarded, so that binaries, packages and bytecode are in the page cache."
    )
    return result
