"""One name for every model: "nano", a folder, a hub name, a server's base URL, or "auto".

    load_model("nano")
    load_model("runs/my-checkpoint")
    load_model("hf:Qwen/Qwen3-VL-2B-Instruct")    # downloads, because it was asked to
    load_model("http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct", api_key="...")
    load_model("auto")                            # the only one on this machine that takes pictures

Only the implementation that is needed gets imported.
"""

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from zoomagent.errors import ModelNotFound, SettingInvalid
from zoomagent.files import is_folder, read_json
from zoomagent.models.base import Model
from zoomagent.models.local.weights import weights_hash
from zoomagent.models.naming import name_of
from zoomagent.models.profiles import (
    NANO,
    UNKNOWN,
    Profile,
    check_fields,
    environment_name,
    override,
    own_overrides,
    profile_for,
)

HUB = "hf:"
AUTO = "auto"
"""The only model on this machine that takes pictures."""
SERVERS = ("http://", "https://")
_LIKE_AN_ADDRESS = re.compile(r"[\w.-]+:\d+(/|#|$)|[\w.-]+\.[a-z]{2,}/.*v1|localhost/", re.IGNORECASE)
NANO_WEIGHTS = Path(__file__).parent / "nano_weights"


def load_model(
    spec: str | Model,
    *,
    connections: int | None = None,
    extra_body: Mapping[str, Any] | None = None,
    profile: Mapping[str, Any] | str | Path | None = None,
    **options: Any,
) -> Model:
    """The model named by `spec`; a model is passed through. `options` go to the implementation's
    constructor. `connections` is how many calls a server gets at a time; in this process it means nothing.
    `extra_body` is what a server is sent besides; SettingInvalid where there is none. `profile` says what the model
    takes, as `profile_in` reads it; else what `ZOOMAGENT_PROFILE` names, if it does."""
    if not isinstance(spec, str):
        return spec
    named = environment_name()
    given = (profile_in(named) if named else {}) | profile_fields(profile)
    model = _load(resolve(spec), connections, extra_body, options)
    use_profile(model, given)
    return model


def _load(spec: str, connections: int | None, extra_body: Mapping[str, Any] | None, options: dict[str, Any]) -> Model:
    """The model with the profile that its own files or its name give it."""
    if spec.startswith(SERVERS):
        from zoomagent.models.server.openai_server import OpenAIModel

        options = {**options, "extra_body": extra_body} if extra_body else dict(options)
        options |= {} if connections is None else {"concurrency": connections}
        base_url, _, named = spec.partition("#")
        return OpenAIModel(base_url, options.pop("model", "") or named, **options)
    if extra_body:
        raise SettingInvalid("extra_body is what a server is sent besides, and this model runs here. Leave it out.")
    check_model(spec)
    from zoomagent.models.local.in_process import InProcessModel

    if spec == "nano":
        return InProcessModel(str(NANO_WEIGHTS), name="nano", **options)
    if Path(spec).is_dir():
        return InProcessModel(spec, **options)
    try:
        return InProcessModel(spec.removeprefix(HUB), **options)
    except ModelNotFound as error:
        if not isinstance(error.__cause__, OSError):
            raise
        raise ModelNotFound(
            f"{spec} is not on this machine and could not be had from the hub. See whether the name is right, whether "
            "there is a network, and whether HF_HUB_OFFLINE is set."
        ) from error


async def identify(model: Model, seconds: float | None = None) -> None:
    """Have a server say which model it serves, before anything depends on its profile, in the seconds that a run has
    for it."""
    if "zoomagent.models.server.openai_server" not in sys.modules:  # then no model is one of a server
        return
    from zoomagent.models.server.openai_server import OpenAIModel

    if isinstance(model, OpenAIModel):
        await model.identify(seconds)


def silence_of(model: Model) -> str:
    """Why the model's server did not answer last; "" where it did, and for a model of this process."""
    if "zoomagent.models.server.openai_server" not in sys.modules:
        return ""
    from zoomagent.models.server.openai_server import OpenAIModel

    return model.silence if isinstance(model, OpenAIModel) else ""


async def reach(model: Model) -> str:
    """The same, after asking its server."""
    if "zoomagent.models.server.openai_server" in sys.modules:
        from zoomagent.models.server.openai_server import OpenAIModel

        if isinstance(model, OpenAIModel):
            return await model.reach()
    return ""


def use_profile(model: Model, fields: Mapping[str, Any]) -> None:
    """Replace fields of the model's profile by what was measured. SettingInvalid where they do not fit together."""
    if not fields:
        return
    model.profile = override(model.profile, fields)
    if "zoomagent.models.server.openai_server" in sys.modules:
        from zoomagent.models.server.openai_server import OpenAIModel

        if isinstance(model, OpenAIModel):
            model.keep_fields(fields)


def resolve(spec: str) -> str:
    """The model that "auto" stands for now; any other stands for itself. ModelNotFound where it is not one."""
    if spec != AUTO:
        return spec
    from zoomagent.models.server.local_servers import only_seeing

    return only_seeing()


def weights_of(model: Model) -> str:
    """The hash of a model's weights: of those in this process, else of those that the user said a server serves."""
    if "zoomagent.models.local.in_process" in sys.modules:  # else no model is one of this process
        from zoomagent.models.local.in_process import InProcessModel

        if isinstance(model, InProcessModel):
            return model.weights
    return model.profile.weights


def check_model(spec: str) -> None:
    """Raises ModelNotFound for a folder that is not there. Cheap: nothing is loaded, and no server or hub is asked."""
    known = spec in ("nano", AUTO) or spec.startswith((HUB, *SERVERS))
    if not known and not Path(spec).is_dir():
        if _LIKE_AN_ADDRESS.match(spec):
            raise ModelNotFound(f"No model {name_of(spec)!r}: a server's base URL begins with http:// or https://.")
        raise ModelNotFound(
            f"No model {name_of(spec)!r}: there is no such folder. Give 'nano', a checkpoint folder, 'hf:' and a hub "
            "name (hf:Qwen/Qwen3-VL-2B-Instruct), a server's base URL, or 'auto' (see zoomagent models)."
        )


def fingerprint(model: str, fields: Mapping[str, Any] | None = None) -> str:
    """The model's name and, where it is a folder with weights, which weights: new ones are another model. So is one
    that is shown other views: `fields` of its profile."""
    folder = NANO_WEIGHTS if model == "nano" else Path(model)
    named = f"{model} {weights_hash(folder)[:12]}" if any(folder.glob("*.safetensors")) else model
    content = json.dumps(fields, sort_keys=True).encode() if fields else b""
    return f"{named} profile {hashlib.sha256(content).hexdigest()[:12]}" if content else named


def profile_fields(profile: Mapping[str, Any] | str | Path | None) -> dict[str, Any]:
    """The fields of a profile that was given as fields or named, each checked by itself."""
    if profile is None:
        return {}
    given = profile_in(profile) if isinstance(profile, str | Path) else dict(profile)
    check_fields(given)
    return given


MOST_PROFILE = 1 << 20
"""Bytes of a profile's file (ours); a whole one has a thousand."""


def profile_in(named: str | Path) -> dict[str, Any]:
    """The fields in a file of `zoomagent doctor --save-profile`; those of the checkpoint in a folder, which a server
    does not tell; or those of a family ("nano", "qwen3-vl"). SettingInvalid where it is none of these."""
    path = NANO_WEIGHTS if str(named) == NANO.family else Path(named)
    if is_folder(path):
        return _profile_of_folder(path)
    # A name is a family's only where it cannot be a path: a file that is not there must not become a family's guess.
    is_path = str(named).startswith((".", "~", "/")) or path.suffix == ".json" or str(named).count("/") > 1
    family = UNKNOWN if is_path else profile_for(str(named), {})
    if family != UNKNOWN and not path.exists():
        return _told(family)
    try:
        with path.open("rb") as file:
            text = file.read(MOST_PROFILE + 1)  # a device may have no end
        value = read_json(text) if len(text) <= MOST_PROFILE else None
    except OSError as error:
        raise SettingInvalid(
            f"The profile {path.name[:80]!r} cannot be read ({error.strerror}). Name a file, a folder or a family."
        ) from None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise SettingInvalid(
            f"{path.name[:80]!r} is no profile. Write one with zoomagent doctor --save-profile, or by hand: "
            'a JSON object of profile fields, as {"space": "pixels"}.'
        )
    return value


def _profile_of_folder(folder: Path) -> dict[str, Any]:
    """What its configuration says, with its weights' hash where an arbiter may know them. Of a folder that holds no
    checkpoint but its zoomagent.json, that alone."""
    try:
        if not (folder / "config.json").exists() and (own := own_overrides(folder)):
            return own
        from zoomagent.models.local.checkpoint import folder_profile

        found = folder_profile(folder)
    except (ModelNotFound, OSError) as error:
        raise SettingInvalid(f"The folder {folder.name!r} holds no checkpoint's profile: {error}") from error
    stored = any(folder.glob("*.safetensors")) and found.family == NANO.family
    return _told(replace(found, weights=weights_hash(folder)) if stored else found)


def _told(profile: Profile) -> dict[str, Any]:
    """All fields but `extra_body` and `source`, which say how and where it is served, not what it takes."""
    return {one.name: getattr(profile, one.name) for one in fields(profile) if one.name not in ("extra_body", "source")}
