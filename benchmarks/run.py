"""Ratios measured in one run, printed and stored: make bench [ARGS="--rounds 7 --only steps"]."""

import argparse
import json
import statistics
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
print("loading torch, Lightning and MLflow ...", file=sys.stderr)

import logging  # noqa: E402

import torch  # noqa: E402

from benchmarks import generation, guard, scale, startup, steps, whole_run  # noqa: E402
from benchmarks.setting import setting  # noqa: E402

RESULTS = Path(__file__).parent / "results"
PARTS = ["steps", "decoder", "guard", "whole_run", "startup", "scale"]


def say(text: str) -> None:
    """Progress, beside the figures."""
    print(text, file=sys.stderr, flush=True)


def limit(what: str, ratio: float, most: float) -> None:
    """One ratio with what is to be reached."""
    print(f"  {what:<42} {ratio:5.2f}   (limit: {most})")


def show_steps(
    net: str, times: Mapping[str, list[float]], to_none: Mapping[str, list[float]], theory: Mapping[str, float]
) -> None:
    """Median milliseconds and ratios of one network."""
    print(f"\n{net} net           ms a step    / bare   / floor    / none   in theory")
    for name, values in times.items():
        ratios = [steps.ratio(times, name, base) for base in ("bare", "floor", "none")]
        if name in to_none:
            ratios[2] = statistics.median(to_none[name])
        row = "".join(f"{ratio:10.2f}" for ratio in ratios)
        expected = theory.get(name)
        print(f"  {name:<18}{statistics.median(values):8.3f}{row}" + (f"{expected:12.2f}" if expected else ""))


def show_scale(found: Mapping[str, float]) -> None:
    """Seconds and memory among many runs, and tracking's share, each with what is to be reached."""
    heading = f"among {found['runs']:,.0f} runs"
    print(f"\n{heading:<44} {'s':>6} {'cpu s':>9} {'MB':>9}   (limit: 1,000 MB)")
    for name in ("search", "plan_none_done", "plan_all_done", "report"):
        print(f"  {name:<42} {found[f'{name}_s']:6.1f} {found[f'{name}_cpu_s']:9.1f} {found[f'{name}_mb']:9.0f}")
    print(f"  {'of search: the search alone':<42} {found['search_alone_s']:6.1f}")
    for name in ("plan_none_done", "plan_all_done"):
        limit(f"{name}, beyond the search alone, s", found[f"{name}_s"] - found["search_alone_s"], 10)
    limit("report, s", found["report_s"], 60)
    limit("report / the search alone", found["report_s"] / found["search_alone_s"], 4.6)  # 60 s where that takes 13
    limit("tracking, % of training", 100 * found["tracking_s"] / found["train_s"], 3)


def main() -> None:
    """Measures what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu")
    args = parser.parse_args()
    parts = args.only or PARTS
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    device = torch.device("cuda:0" if args.device == "gpu" else "cpu")
    results: dict[str, object] = {"setting": setting(args.device), "rounds": args.rounds}
    if "steps" in parts:
        seen: set[str] = set()
        for net in (steps.SMALL, steps.LARGE, steps.SIGMOID, steps.DROPPING, steps.IMAGES):
            # Of the later ones only what needs them.
            names = [n for n in steps.REGULARIZERS if net in (steps.SMALL, steps.LARGE) or n not in seen]
            times, to_none = steps.measure(net, device, names, args.rounds, say)
            seen |= set(times)
            results[f"steps_{net.name}_ms"] = times
            results[f"to_none_{net.name}"] = to_none
            results[f"theory_{net.name}"] = theory = steps.theory(net, device, times)
            show_steps(net.name, times, to_none, theory)
            if net is steps.SMALL:
                limit("none / Lightning's floor", steps.ratio(times, "none", "floor"), 1.15)
            elif net is steps.LARGE:
                limit("none / bare loop", steps.ratio(times, "none", "bare"), 1.08)
                for name in ("l1", "l2", "dropout", "max_norm"):
                    limit(f"{name} / none", statistics.median(to_none[name]), 1.3)
    if "decoder" in parts:
        net = steps.DECODER
        times, to_none = steps.measure(net, device, steps.needing(net), args.rounds, say)
        results["steps_decoder_ms"], results["to_none_decoder"] = times, to_none
        results["theory_decoder"] = theory = steps.theory(net, device, times)
        show_steps(net.name, times, to_none, theory)
        tokens = net.batch * net.shape[0]
        for name in ("bare", "none"):
            print(f"  {name}: {1000 * tokens / statistics.median(times[name]):,.0f} tokens a second of training")
        limit("none / bare loop", steps.ratio(times, "none", "bare"), 1.05)
        say(f"  generation, {args.rounds} rounds")
        results["generation_s"] = written = generation.measure(args.rounds, device)
        print("\ngeneration, greedy, with a cache")
        for name, values in written.items():
            print(f"  {name:<42} {generation.NEW / statistics.median(values):5.0f} tokens a second")
        limit("reglab, streamed / the library's generate", steps.ratio(written, "reglab", "library"), 1.05)
    if "guard" in parts:
        results["guard_ms"] = guarded = guard.measure(args.rounds, device, say)
        for net_name, costs in guarded.items():
            print(f"\neffect guard, {net_name} net: once before training, ms (a bare step: {costs['step']:.1f} ms)")
            for name, value in costs.items():
                if name != "step":
                    print(f"  {name:<42} {value:5.1f}")
    if "whole_run" in parts:
        say(f"  a whole run, {args.rounds} rounds")
        seconds = whole_run.measure(args.rounds)
        results["whole_run_s"] = seconds
        print(f"\nwhole run       tracked in a sweep {seconds['tracked_s']:.3f} s, bare {seconds['bare_s']:.3f} s")
        limit("tracked run / bare loop", seconds["tracked_s"] / seconds["bare_s"], 2.2)
    if "startup" in parts:
        say(f"  start-up, {args.rounds} rounds")
        waits = startup.measure(args.rounds)
        results["startup_s"] = waits
        print("\nstart-up: help and error messages (limit: 1.5 s)")
        for name, value in waits.items():
            print(f"  {name:<42} {value:5.2f} s")
        results["imports_s"] = imports = startup.measure_imports(args.rounds)
        print(f"\nimports         of a run {imports['paused']:.1f} s, with garbage collection {imports['plain']:.1f} s")
        limit("paused / with garbage collection", imports["paused"] / imports["plain"], 0.85)
    if "scale" in parts:
        rounds = min(args.rounds, 3)
        say(f"  among 10,000 runs, {rounds} rounds of about three minutes, once the runs are there")
        results["scale"] = crowded = scale.measure(rounds)
        show_scale(crowded)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{args.device}.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nstored in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
