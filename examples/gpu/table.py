"""From nothing to the table of V*Bench and HR-Bench on one GPU, with Qwen3-VL-4B and 8B; or rehearsed on nano, here.

    python examples/gpu/table.py --work runs/gpu                      # one GPU with 24 GB for 4B, 48 GB for both
    python examples/gpu/table.py --work runs/rehearsal --rehearse     # no GPU, no download: nano, drawn sets, minutes

Steps, each of which is skipped where its file is there already, so that the same line goes on after a kill:

    environment   one for vLLM, beside the one this runs in (which has zoomagent with its extras train and bench)
    download      both sets, from the hub
    serve         vLLM, until the work with this model is done
    doctor        what the model takes and can do: profile.json
    calibrate     one half of both sets asked with --records, an arbiter fitted: arbiter.json
    ask           the other half, every strategy and rival, macro among them; first a few questions, to say how long
    report        report.md, and pages with the questions that zooming gained and lost

Weights need two bytes a parameter (9 and 18 GB), the sets some 10 GB; how long it takes is said after the first
questions. The rehearsal serves nano by a real vLLM for the CPU where ZOOMAGENT_TEST_VLLM names one
(scripts/vllm-cpu.sh make FOLDER), else it asks nano in this process. Its figures are nano's on drawn sets: none is one
of the sets' own.
"""

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("Qwen/Qwen3-VL-4B-Instruct", "Qwen/Qwen3-VL-8B-Instruct")
SETS = {"vstar": "craigwu/vstar_bench", "hr-bench-4k": "DreamMr/HR-Bench"}
ROWS = "macro,dualfocus,dualfocus-published,auto,tools,search,p2r,zoomeye,qwen-agent,deepeyes"
REHEARSED_ROWS = "macro,dualfocus,auto,tools,p2r"
DRAWN = {"vstar": 150, "hr-bench-4k": 30}
"""Questions of the rehearsal: half of them are enough for an arbiter, which needs a hundred records."""
REHEARSED = 16
"""Questions of the other half that every row is asked then."""
PORT = 8123
ZOOMAGENT = [sys.executable, "-m", "zoomagent.cli"]


@dataclass(frozen=True)
class Job:
    """One model's work: how it is named to zoomagent, where its files go, how many are asked at a time."""

    name: str
    url: str
    folder: Path
    at_once: int


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="A folder for all files; goes on in it.")
    parser.add_argument("--model", action="append", help=f"A model of the hub; repeat. Default: {', '.join(MODELS)}")
    parser.add_argument("--at-once", type=int, default=8, help="Questions asked at a time.")
    parser.add_argument("--rehearse", action="store_true", help="Nano and drawn sets instead of a GPU and downloads.")
    told = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that its server is stopped too
    work: Path = told.work
    work.mkdir(parents=True, exist_ok=True)
    vllm = None if told.rehearse else environment(work)
    data = draw(work) if told.rehearse else download(work)
    for model in ["nano"] if told.rehearse else told.model or MODELS:
        folder = work / model.split("/")[-1]
        if all((folder / f"{name}.md").exists() for name in SETS):
            continue
        folder.mkdir(exist_ok=True)
        with served(model, vllm, work) as url:
            job = Job(model, url, folder, told.at_once if url.startswith("http") else 1)
            doctor(job)
            calibrate(job, data, told.rehearse)
            for name in SETS:
                ask(job, name, data[name], REHEARSED_ROWS if told.rehearse else ROWS, told.rehearse)
    report(work, data, told.rehearse)


# Steps


def environment(work: Path) -> Path:
    """vLLM in an environment of its own: it pins libraries that zoomagent does not."""
    home = work / "vllm"
    if not (home / "ready").exists():
        run([sys.executable, "-m", "venv", str(home)])
        run([str(home / "bin" / "pip"), "install", "vllm", "huggingface_hub"])
        (home / "ready").touch()
    return home


def download(work: Path) -> dict[str, Path]:
    """Both sets as their authors publish them; a download that was broken off goes on."""
    data = {}
    for name, hub in SETS.items():
        data[name] = work / "data" / name
        if not (data[name] / "ready").exists():
            only = ["--include", "hr_bench_4k.*"] if name == "hr-bench-4k" else []
            place = ["--repo-type", "dataset", "--local-dir", str(data[name])]
            run([str(work / "vllm" / "bin" / "hf"), "download", hub, *place, *only])
            (data[name] / "ready").touch()
    return data


def draw(work: Path) -> dict[str, Path]:
    """Small sets of nano's own world in the formats of both."""
    data = {}
    for name, count in DRAWN.items():
        data[name] = work / "data" / name
        if not data[name].exists():
            run(
                [
                    *ZOOMAGENT,
                    "bench",
                    "draw",
                    "--set",
                    name,
                    "--out",
                    str(data[name]),
                    "--n",
                    str(count),
                    "--side",
                    "768",
                ]
            )
    return data


@contextlib.contextmanager
def served(model: str, vllm: Path | None, work: Path) -> Iterator[str]:
    """The model's server, until it is no longer needed; nano in this process where there is no vLLM for the CPU."""
    cpu = os.environ.get("ZOOMAGENT_TEST_VLLM", "")
    if vllm is None and not cpu:
        yield "nano"
        return
    if vllm is None:
        weights = ROOT / "zoomagent" / "models" / "nano_weights"
        command = [str(ROOT / "scripts" / "vllm-cpu.sh"), "serve", cpu, str(weights), str(PORT)]
        command += ["--served-model-name", "nano", "--dtype", "float32"]
    else:
        command = [str(vllm / "bin" / "vllm"), "serve", model, "--port", str(PORT), "--max-model-len", "32768"]
        command += ["--limit-mm-per-prompt", '{"image": 8}', "--max-logprobs", "20"]
    command += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    url = f"http://127.0.0.1:{PORT}/v1#{model}"
    if left := models_at():
        if model not in left:
            raise SystemExit(f"{', '.join(left)} is served at port {PORT} already. Stop that server.")
        print(f"{model} is served at port {PORT} already.", flush=True)
        yield url
        return
    say(command)
    with (work / "vllm.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(server, work / "vllm.log")
            yield url
        finally:
            server.terminate()
            server.wait()


def wait_for(server: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until the server answers; its weights are downloaded by then."""
    while server.poll() is None:
        if models_at():
            return
        time.sleep(2)
    raise SystemExit(f"vLLM ended with {server.returncode}. Its last words are in {log}.")


def models_at() -> list[str]:
    """What is served at the port: a script that was killed may have left its server; [] where nothing answers."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{PORT}/v1/models", timeout=5) as told:
        return [model["id"] for model in json.load(told)["data"]]
    return []


def doctor(job: Job) -> None:
    """What the model takes and can do, measured; nano's own profile is known."""
    profile = job.folder / "profile.json"
    if job.name != "nano" and not profile.exists():
        run([*ZOOMAGENT, "doctor", "--model", job.url, "--save-profile", str(profile)])


def calibrate(job: Job, data: dict[str, Path], rehearse: bool) -> None:
    """Ask one half of both sets, and fit how sure to be on what the runs knew."""
    if (job.folder / "arbiter.json").exists():
        return
    records = job.folder / "records.jsonl"
    for name in SETS:
        out = job.folder / f"{name}-held-out"
        command = ["bench", "export", "--set", name, "--data", str(data[name]), "--part", "held-out", "--out", str(out)]
        if not (out / "questions.jsonl").exists():
            # Drawn sets are small: they have to be asked for as a part of the real ones.
            run([*ZOOMAGENT, *command, *(["--n", "1000"] if rehearse else [])])
        asked = [
            "batch",
            str(out / "questions.jsonl"),
            "--out",
            str(out / "answers.jsonl"),
            "--records",
            str(out / "r.jsonl"),
        ]
        run([*ZOOMAGENT, *asked, "--model", job.url, "--concurrency", str(job.at_once), *profile_of(job)])
    # Both sets number their questions from 0. Halves are drawn by the names of groups, so these hold no folder.
    lines = []
    for name in SETS:
        for line in (job.folder / f"{name}-held-out" / "r.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            group = f"{name} {Path(record['group']).name}"
            lines.append(json.dumps(record | {"id": f"{name} {record['id']}", "group": group}))
    records.write_text("\n".join(lines) + "\n", encoding="utf-8")
    named = ["--model", job.name, "--out", str(job.folder / "arbiter.json")]
    run([*ZOOMAGENT, "train", "calibrate", str(records), *named])


def ask(job: Job, name: str, data: Path, rows: str, rehearse: bool) -> None:
    """The other half, every row; a few questions first, to say how long all will take."""
    if (job.folder / f"{name}.md").exists():
        return
    command = [*ZOOMAGENT, "bench", "run", "--set", name, "--data", str(data), "--part", "test", "--model", job.url]
    command += ["--strategy", rows, "--at-once", str(job.at_once), *profile_of(job)]
    command += ["--arbiter", str(job.folder / "arbiter.json"), "--results", str(job.folder / f"{name}.jsonl")]
    command += ["--seeds", "1"] if rehearse else []
    pilot = job.folder / f"{name}-pilot.json"
    if not pilot.exists():
        run([*command, "--n", "8", "--out", str(pilot)], quiet=True)
    content = json.loads(pilot.read_text(encoding="utf-8"))
    seconds = sum(row["seconds"] * row["n"] for row in content["rows"] if row["kind"] == "all")
    count = REHEARSED if rehearse else content["published"] / 2
    print(f"{name}: about {seconds * count / content['questions'] / job.at_once / 60:.0f} minutes", flush=True)
    told = run(
        [*command, *(["--n", str(REHEARSED)] if rehearse else []), "--out", str(job.folder / f"{name}.json")],
        quiet=True,
    )
    (job.folder / f"{name}.md").write_text(told, encoding="utf-8")
    print(told)


def report(work: Path, data: dict[str, Path], rehearse: bool) -> None:
    """All tables in one file, and a page for each set with what zooming gained and lost."""
    lines = ["# V*Bench and HR-Bench 4K", ""]
    lines += ["Rehearsed with nano on drawn sets: no figure here is one of these sets.", ""] if rehearse else []
    for folder in sorted(path.parent for path in work.glob("*/arbiter.json")):
        for name in SETS:
            lines += [f"## {folder.name}, {name}", "", (folder / f"{name}.md").read_text(encoding="utf-8"), ""]
            both = [f"{folder / name}.jsonl#{row}" for row in ("macro", "auto")]
            page = ["--data", str(data[name]), "--out", str(folder / f"{name}.html")]
            lines += [run([*ZOOMAGENT, "bench", "compare", *both, *page], quiet=True), ""]
    (work / "report.md").write_text("\n".join(lines), encoding="utf-8")
    print(f"The report: {work / 'report.md'}")


# Helpers


def profile_of(job: Job) -> list[str]:
    """What the model takes: as doctor measured it; a served nano's own, which its server does not tell."""
    if job.name == "nano":
        return [] if job.url == "nano" else ["--profile", "nano"]
    return ["--profile", str(job.folder / "profile.json")]


def say(command: list[str]) -> None:
    print(f"$ {shlex.join(command)}", flush=True)


def run(command: list[str], quiet: bool = False) -> str:
    """Run it; what it printed, where it is `quiet`. A command that fails ends the script, which goes on there."""
    say(command)
    done = subprocess.run(command, stdout=subprocess.PIPE if quiet else None, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"That failed with {done.returncode}. What is done stays: run the same again to go on.")
    return done.stdout or ""


if __name__ == "__main__":
    main()
