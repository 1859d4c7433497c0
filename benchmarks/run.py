"""Measure, print and store the benchmarks: make bench [ARGS="--rounds 7 --only steps"]."""

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


def print_progress(text: str) -> None:
    """Print progress to standard error, apart from the results."""
    print(text, file=sys.stderr, flush=True)


def print_limit(label: str, ratio: float, maximum: float) -> None:
    """Print a ratio and its limit."""
    print(f"  {label:<42} {ratio:5.2f}   (limit: {maximum})")


def show_steps(
    net: str, times: Mapping[str, list[float]], to_none: Mapping[str, list[float]], theory: Mapping[str, float]
) -> None:
    """Print median milliseconds and ratios of one network."""
    print(f"\n{net} net           ms a step    / bare   / floor    / none   in theory")
    for name, values in times.items():
        ratios = [steps.ratio(times, name, base) for base in ("bare", "floor", "none")]
        if name in to_none:
            ratios[2] = statistics.median(to_none[name])
        row = "".join(f"{ratio:10.2f}" for ratio in ratios)
        expected = theory.get(name)
        print(f"  {name:<18}{statistics.median(values):8.3f}{row}" + (f"{expected:12.2f}" if expected else ""))


def show_scale(costs: Mapping[str, float]) -> None:
    """Print seconds and memory with many tracked runs, and the share of tracking, each with its limit."""
    heading = f"among {costs['runs']:,.0f} runs"
    print(f"\n{heading:<44} {'s':>6} {'cpu s':>9} {'MB':>9}   (limit: 1,000 MB)")
    for name in ("search", "plan_none_done", "plan_all_done", "report"):
        print(f"  {name:<42} {costs[f'{name}_s']:6.1f} {costs[f'{name}_cpu_s']:9.1f} {costs[f'{name}_mb']:9.0f}")
    print(f"  {'of search: the search alone':<42} {costs['search_alone_s']:6.1f}")
    for name in ("plan_none_done", "plan_all_done"):
        print_limit(f"{name}, beyond the search alone, s", costs[f"{name}_s"] - costs["search_alone_s"], 10)
    print_limit("report, s", costs["report_s"], 60)
    # The limit of 60 s for a report, relative to a search of 13 s.
    print_limit("report / the search alone", costs["report_s"] / costs["search_alone_s"], 4.6)
    print_limit("tracking, % of training", 100 * costs["tracking_s"] / costs["train_s"], 3)


def main() -> None:
    """Measure the parts that the command line selects."""
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
            # The later networks measure only methods that do not fit the first two.
            names = [n for n in steps.REGULARIZERS if net in (steps.SMALL, steps.LARGE) or n not in seen]
            times, to_none = steps.measure(net, device, names, args.rounds, print_progress)
            seen |= set(times)
            results[f"steps_{net.name}_ms"] = times
            results[f"to_none_{net.name}"] = to_none
            results[f"theory_{net.name}"] = theory = steps.theory(net, device, times)
            show_steps(net.name, times, to_none, theory)
            if net is steps.SMALL:
                print_limit("none / Lightning's floor", steps.ratio(times, "none", "floor"), 1.15)
            elif net is steps.LARGE:
                print_limit("none / bare loop", steps.ratio(times, "none", "bare"), 1.08)
                for name in ("l1", "l2", "dropout", "max_norm"):
                    print_limit(f"{name} / none", statistics.median(to_none[name]), 1.3)
    if "decoder" in parts:
        net = steps.DECODER
        times, to_none = steps.measure(net, device, steps.specific_regularizers(net), args.rounds, print_progress)
        results["steps_decoder_ms"], results["to_none_decoder"] = times, to_none
        results["theory_decoder"] = theory = steps.theory(net, device, times)
        show_steps(net.name, times, to_none, theory)
        tokens = net.batch * net.shape[0]
        for name in ("bare", "none"):
            print(f"  {name}: {1000 * tokens / statistics.median(times[name]):,.0f} tokens a second of training")
        print_limit("none / bare loop", steps.ratio(times, "none", "bare"), 1.05)
        print_progress(f"  generation, {args.rounds} rounds")
        results["generation_s"] = written = generation.measure(args.rounds, device)
        print("\ngeneration, greedy, with a cache")
        for name, values in written.items():
            print(f"  {name:<42} {generation.NEW / statistics.median(values):5.0f} tokens a second")
        print_limit("reglab, streamed / the library's generate", steps.ratio(written, "reglab", "library"), 1.05)
    if "guard" in parts:
        results["guard_ms"] = guarded = guard.measure(args.rounds, device, print_progress)
        for net_name, costs in guarded.items():
            print(f"\neffect guard, {net_name} net: once before training, ms (a bare step: {costs['step']:.1f} ms)")
            for name, value in costs.items():
                if name != "step":
                    print(f"  {name:<42} {value:5.1f}")
    if "whole_run" in parts:
        print_progress(f"  a whole run, {args.rounds} rounds")
        seconds = whole_run.measure(args.rounds)
        results["whole_run_s"] = seconds
        print(f"\nwhole run       tracked in a sweep {seconds['tracked_s']:.3f} s, bare {seconds['bare_s']:.3f} s")
        print_limit("tracked run / bare loop", seconds["tracked_s"] / seconds["bare_s"], 2.2)
    if "startup" in parts:
        print_progress(f"  start-up, {args.rounds} rounds")
        waits = startup.measure(args.rounds)
        results["startup_s"] = waits
        print("\nstart-up: help and error messages (limit: 1.5 s)")
        for name, value in waits.items():
            print(f"  {name:<42} {value:5.2f} s")
        results["imports_s"] = imports = startup.measure_imports(args.rounds)
        print(f"\nimports         of a run {imports['paused']:.1f} s, with garbage collection {imports['plain']:.1f} s")
        print_limit("paused / with garbage collection", imports["paused"] / imports["plain"], 0.85)
    if "scale" in parts:
        rounds = min(args.rounds, 3)
        print_progress(f"  among 10,000 runs, {rounds} rounds of about three minutes, once the runs are there")
        results["scale"] = crowded = scale.measure(rounds)
        show_scale(crowded)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}-{args.device}.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nstored in {path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}")


if __name__ == "__main__":
    main()
