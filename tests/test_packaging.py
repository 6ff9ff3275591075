"""The house stands as it is drawn: packages declared, wheel complete, imports one way, docs in step."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

import pytest
import write_cli

from zoomagent.errors import ZoomAgentError

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LAYERS = [
    {"bounds", "errors", "files", "geometry", "journal", "moments", "run_record", "strategy", "text"},
    {"media"},
    {"models", "confidence", "prompts"},
    {"tools"},
    {"graphs"},
    {"answer", "background", "checkup", "store", "running", "agent", "clips", "nodes"}
    | {"page.names", "page.words", "page.tree", "page.run_html", "page.pictures", "page.saving"},
    {"page", "plugins", "batch"},
]
"""The agent's side: imports point up this list only, or stay within a line of it."""
WORKSHOP = {"data", "training", "evaluation"}
"""What makes data and models for the agent, and measures it. Knows the agent's side; only `cli` knows both."""


def packages() -> list[str]:
    settings: list[str] = PROJECT["tool"]["setuptools"]["packages"]
    return settings


def folder_of(package: str) -> Path:
    mapped: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]
    return ROOT / mapped.get(package, package.replace(".", "/"))


def sources() -> Iterator[tuple[str, Path]]:
    """Every module of the package, by its dotted name."""
    for package in packages():
        for file in sorted(folder_of(package).glob("*.py")):
            yield (package if file.stem == "__init__" else f"{package}.{file.stem}"), file


def test_every_package_directory_is_declared() -> None:
    """What is not declared works in a checkout and is missing from the wheel."""
    found = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for init in (ROOT / "zoomagent").rglob("__init__.py")
        if not init.parent.is_symlink()
    }
    assert found | {"zoomagent.tools", "zoomagent.graphs"} == set(packages())


@pytest.mark.parametrize("name", ["tools", "graphs"])
def test_the_mapped_folders_are_flat_and_linked(name: str) -> None:
    folders = [item.name for item in (ROOT / name).iterdir() if item.is_dir() and item.name != "__pycache__"]
    assert folders == []
    assert (ROOT / "zoomagent" / name).resolve() == (ROOT / name).resolve()


def imported(tree: ast.Module) -> Iterator[str]:
    """Every zoomagent module that a file imports when it runs, lazily or not."""
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def side(module: str) -> str:
    """Of which side a module is: the agent's, the workshop's, the command line's, or a stranger's."""
    parts = module.split(".")
    if parts[0] != "zoomagent" or len(parts) == 1:
        return "stranger"
    return "workshop" if parts[1] in WORKSHOP else "cli" if parts[1] == "cli" else "agent"


def layer(module: str) -> int:
    """The line of LAYERS that a module of the agent's side is on."""
    names = module.removeprefix("zoomagent.").split(".")
    places = (".".join(names[:length]) for length in (2, 1))
    return next(i for place in places for i, line in enumerate(LAYERS) if place in line)


def wrong_imports(modules: Iterable[tuple[str, str]]) -> list[str]:
    """Imports over the wall between the sides, or down the agent's own lines; modules come as name and text."""
    allowed = {"agent": {"agent"}, "workshop": {"agent", "workshop"}, "cli": {"agent", "workshop", "cli"}}
    wrong = []
    for name, text in modules:
        for other in imported(ast.parse(text)):
            own, its = side(name), side(other)
            if other.split(".")[0] in BENCHMARKS:
                wrong.append(f"{name} imports {other}")
            if "stranger" in (own, its):
                continue
            if its not in allowed[own] or (own == its == "agent" and layer(other) > layer(name)):
                wrong.append(f"{name} imports {other}")
    return wrong


BENCHMARKS = {"benchmarks", *(file.stem for file in (ROOT / "benchmarks").glob("*.py"))}


def test_imports_point_one_way_and_never_over_the_wall() -> None:
    assert wrong_imports((name, file.read_text(encoding="utf-8")) for name, file in sources()) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("zoomagent.batch.rows", "from zoomagent.evaluation.results import load"),
        ("zoomagent.graphs.zoom", "def f():\n    import zoomagent.training.rl.rewards"),
        ("zoomagent.media.limits", "from zoomagent.models.base import Model"),
        ("zoomagent.training.rl.run", "from zoomagent.cli.options import MAX_TOKENS"),
        ("zoomagent.agent", "from zoomagent.page.server import page_app"),
        ("zoomagent.agent", "from zoomagent.cli import terminal"),
        ("zoomagent.evaluation.run", "from hostile_case import Case"),
    ],
)
def test_an_import_over_the_wall_is_seen(name: str, text: str) -> None:
    assert wrong_imports([(name, text)]) != []


def circles(arrows: Mapping[str, set[str]]) -> list[set[str]]:
    """Groups of modules that import each other, by who is reached from whom."""
    reached: dict[str, set[str]] = {}
    for start in arrows:
        found, waiting = set[str](), [start]
        while waiting:
            for other in arrows.get(waiting.pop(), set()) - found:
                found.add(other)
                waiting.append(other)
        reached[start] = found
    return [{name} | {n for n in reached[name] if name in reached[n]} for name in arrows if name in reached[name]]


def test_no_modules_import_each_other_in_a_circle() -> None:
    names = dict(sources())
    arrows = {
        name: {other for other in imported(ast.parse(file.read_text(encoding="utf-8"))) if other in names}
        for name, file in names.items()
    }
    assert circles(arrows) == []


def test_no_text_is_ever_run_as_code() -> None:
    """No eval, exec, pickle or torch.load anywhere: model text, checkpoints and weights are data."""
    found = [f"{name}: {what}" for name, file in sources() for what in dangers(ast.parse(file.read_text()))]
    assert found == []


def test_every_auto_class_is_told_to_run_nobodys_code() -> None:
    """Without `trust_remote_code=False` transformers asks the person at the terminal."""
    calls = [
        (name, call)
        for name, file in sources()
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and re.fullmatch(r"Auto\w+\.from_(pretrained|config)", ast.unparse(call.func))
    ]
    assert len(calls) > 5
    asks = [f"{name}: {ast.unparse(call.func)}" for name, call in calls if not told_to_trust_nobody(call)]
    assert asks == []


def told_to_trust_nobody(call: ast.Call) -> bool:
    return any(k.arg == "trust_remote_code" and ast.unparse(k.value) == "False" for k in call.keywords)


def dangers(tree: ast.Module) -> Iterator[str]:
    """What could run code that comes from outside."""
    for name in imported(tree):
        if name.split(".")[0] in ("pickle", "cPickle", "dill", "joblib", "shelve", "marshal"):
            yield name
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if ast.unparse(node.func) in ("eval", "exec", "compile", "torch.load", "numpy.load", "np.load"):
            yield ast.unparse(node.func)
        yield from (
            f"{k.arg}=True" for k in node.keywords if k.arg == "trust_remote_code" and ast.unparse(k.value) != "False"
        )


def test_every_error_has_a_code_of_its_own() -> None:
    def family(kind: type[ZoomAgentError]) -> list[type[ZoomAgentError]]:
        return [kind, *(one for child in kind.__subclasses__() for one in family(child))]

    codes = [kind.code for kind in family(ZoomAgentError) if kind.__module__ == "zoomagent.errors"]
    assert len(codes) == len(set(codes))


def codes_in(tree: ast.Module) -> Iterator[str]:
    """Every error code that a module names: `code="..."` of a call or a class, and what a variable `code` is set to."""
    for node in ast.walk(tree):
        values: list[ast.expr] = []
        if isinstance(node, ast.keyword) and node.arg == "code":
            values = [node.value]
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = (
                    zip(target.elts, node.value.elts, strict=True)
                    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple)
                    else [(target, node.value)]
                )
                values += [value for name, value in pairs if isinstance(name, ast.Name) and name.id == "code"]
        for value in values:
            branches = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
            yield from (
                b.value for b in branches if isinstance(b, ast.Constant) and isinstance(b.value, str) and b.value
            )


@pytest.mark.parametrize(
    "text",
    ["raise E('no', code='new_code')", "class E(X):\n  code = 'new_code'", "code, text = 'new_code' if x else y, 1"],
)
def test_a_code_that_a_module_names_is_seen(text: str) -> None:
    assert list(codes_in(ast.parse(text))) == ["new_code"]


def test_every_error_code_in_use_is_listed_with_the_errors() -> None:
    listed = set(re.findall(r"\w+", (ROOT / "zoomagent" / "errors.py").read_text()))
    used = {code: name for name, file in sources() for code in codes_in(ast.parse(file.read_text()))}
    assert len(used) > 50
    assert {code: name for code, name in used.items() if code not in listed} == {}


def test_langgraph_json_names_compiled_graphs_as_modules() -> None:
    """By path a graph would be loaded as a second module; with a checkpointer `langgraph dev` refuses it."""
    config = json.loads((ROOT / "langgraph.json").read_text())
    assert config["graphs"]
    for name, entry in config["graphs"].items():
        module, attribute = entry.split(":")
        graph = getattr(import_module(module), attribute)
        assert module.startswith("zoomagent.graphs.")
        assert graph.checkpointer is None and graph.name == name
        assert graph.get_context_jsonschema() and graph.get_input_jsonschema()


def test_no_extra_names_the_package_itself() -> None:
    """Old versions of pip (23.0, Debian 12's) search without end where one does."""
    extras: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
    everything = [need for needs in (PROJECT["project"]["dependencies"], *extras.values()) for need in needs]
    assert [need for need in everything if need.lower().startswith("zoomagent")] == []


def test_the_extra_dev_brings_all_that_tests_need() -> None:
    """With the same bounds as the extras it repeats. `eval` and `ray` are large, and their tests do without."""
    extras: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
    for name in ("large", "ocr", "video", "train", "bench", "studio", "mcp", "langchain", "serve", "docs"):
        assert set(extras[name]) <= set(extras["dev"]), name


def test_every_extra_is_pinned_in_the_tested_set() -> None:
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    names = {re.split(r"[\[>=]", need)[0].lower() for need in PROJECT["project"]["optional-dependencies"]["dev"]}
    assert names - pinned == {"setuptools"}


def test_every_command_of_make_says_what_it_does() -> None:
    text = (ROOT / "Makefile").read_text()
    commands = re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE)
    assert len(commands) > 5
    assert [name for name in commands if not re.search(rf"^{name}:.* ## \w", text, re.MULTILINE)] == []


def test_the_page_of_the_command_line_is_what_the_program_prints() -> None:
    fresh = write_cli.page()
    assert write_cli.PAGE.read_text(encoding="utf-8") == fresh, "run: python docs/write_cli.py --write"


def test_examples_import_nothing_from_inside_the_package() -> None:
    inside = [
        f"{file.name}: {name}"
        for file in sorted((ROOT / "examples").glob("*.py"))
        for name in imported(ast.parse(file.read_text(encoding="utf-8")))
        if name.startswith("zoomagent.")
    ]
    assert inside == []


def test_every_public_name_is_there_and_importing_the_package_imports_nothing() -> None:
    import zoomagent

    missing = [name for name in zoomagent.__all__ if getattr(zoomagent, name, None) is None]
    assert missing == [] and len(zoomagent.__all__) == len(set(zoomagent.__all__))
    heavy = ["torch", "pydantic", "langgraph", "numpy", "PIL"]
    code = f"import sys, zoomagent; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_wheel_holds_all_of_the_package_and_nothing_else(tmp_path: Path) -> None:
    """Built from a copy of what git knows, so that nothing here gets in or is left behind."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.splitlines():
        source, target = ROOT / name, tmp_path / "copy" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.exists() or source.is_symlink():
            shutil.copy2(source, target, follow_symlinks=False)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run(build, cwd=tmp_path / "copy", capture_output=True, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert {name.split("/")[0] for name in names} == {"zoomagent"}
    expected = {f"{name.replace('.', '/')}.py" for name, file in sources() if file.stem != "__init__"}
    missing = {name for name in expected if name not in names and _tracked(name, listed)}
    assert missing == set()
    assert {"zoomagent/py.typed", "zoomagent/page/templates/saved.html", "zoomagent/page/web/run.css"} <= names
    assert {"zoomagent/data/example/scene.jpg", "zoomagent/models/nano_weights/model.safetensors"} <= names
    assert {"zoomagent/confidence/arbiters/README.md", "zoomagent/page/web/index.html"} <= names


def _tracked(name: str, listed: str) -> bool:
    """Whether git knows the file, under its own path or under the folder it is mapped from."""
    return name in listed.splitlines() or name.removeprefix("zoomagent/") in listed.splitlines()


def test_the_readme_is_short_and_its_figures_are_those_of_the_benchmarks() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    measured = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 130
    small, deep = measured.split("**8K, level")[0], measured.split("**8K, level")[1]
    names = [name for name in ("macro", "dualfocus", "tools", "search", "auto") if f"| {name}: " in readme]
    assert len(names) == 5
    for name in names:
        row = next(line for line in readme.splitlines() if line.startswith(f"| {name}: "))
        cells = [cell.strip() for cell in row.strip("|").split("|")][1:]
        assert cells == [*_figures(small, name), *_figures(deep, name)], name


def _figures(page: str, name: str) -> list[str]:
    """Accuracy with its interval, harm and calls of the strategy's row in a table of the haystack."""
    row = next(line for line in page.splitlines() if line.startswith(f"| {name} | 252 |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    return [cells[2], cells[10], cells[11]]


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_every_link_of_the_pages_at_the_top_leads_to_a_file(page: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", (ROOT / page).read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert len(local) > 5 and [link for link in local if not (ROOT / link).exists()] == []
